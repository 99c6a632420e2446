//! Tests that people write.
