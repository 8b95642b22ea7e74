"""SAML 2.0 service provider over ``python3-saml`` (contract-native 1.1, contract-supabase 2.2)."""
