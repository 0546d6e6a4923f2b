//! What the world does to a program: damaged files, foreign folders, full disks, hostile records,
//! senseless settings. Each is a typed error that says where and what to do, or is survived;
//! nothing acknowledged is lost in silence, nothing panics, nothing waits for ever.

mod clients;
mod damage;
mod folder;
mod world;
