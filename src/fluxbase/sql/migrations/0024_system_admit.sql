-- Our own transactions ask whether the caller's credential still holds before they do anything for him (DESIGN invariant 5).
grant execute on function fluxbase.admit(text[], bigint) to fluxbase_system;
