//! The broker: topics with their settings, produce and fetch, offsets, groups.

mod catalog;
mod group;
pub mod topic_config;
