"""The Supabase-compatible dialect under /rest/v1 and /auth/v1."""
