//! The attacks.

mod amounts;
mod incidents;
mod links;
mod odd_files;

use crate::attack::Attack;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    [incidents::ATTACKS, links::ATTACKS, odd_files::ATTACKS, amounts::ATTACKS].into_iter().flatten()
}
