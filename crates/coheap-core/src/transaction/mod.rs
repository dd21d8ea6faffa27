//! What a user's block wants to change: private until it commits.
