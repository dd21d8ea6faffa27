//! Rust face.
pub mod element;
