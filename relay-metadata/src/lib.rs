//! The metadata API: the small HTTP service that steps and triggers call while they run.
