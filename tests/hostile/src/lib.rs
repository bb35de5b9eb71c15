//! The suite of images that attack: a table of attacks, a table of operations that meet an image, and one oracle that
//! says whether anything of the host was reached.
//!
//! * [`attack`]: what an image holds that means harm, and which [`Defence`](root::Defence) it must meet.
//! * [`operation`]: what is run against it. A further program that works on a container's root is one row more.
//! * [`image`] and [`outside`]: the image, and beside it a tree that stands for the host and must stay as it is.
//! * [`trial`]: one attack on one operation, in a mount namespace of its own, watched by strace.
//! * [`stage`]: how there comes to be a container's process that an operation works on from outside.
//! * [`oracle`]: what must hold whatever an image holds.
//! * [`container`]: attacks in real containers, under runc and crun; [`preload`]: code that waits for a loader.
//! * [`paused`]: what a hook still has when it begins to work; [`race`]: images that change meanwhile;
//!   [`given`]: what is exchanged with what was just made; [`scarce`]: disks that are full and trees that cannot be changed.
//!
//! Each attack is also run on the build without the defence that it must meet, and has to succeed there: a test that cannot
//! fail proves nothing.
#![forbid(unsafe_code)]

pub mod attack;
pub mod cases;
pub mod container;
pub mod given;
pub mod image;
pub mod operation;
pub mod oracle;
pub mod outside;
pub mod paused;
pub mod preload;
pub mod programs;
pub mod race;
pub mod runner;
pub mod scarce;
mod sources;
pub mod stage;
pub mod trial;
