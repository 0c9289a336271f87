//! The stores on ConfigMaps, against the in-memory API.

#[cfg(test)]
mod stores;
