//! The attacks.

mod amounts;
mod incidents;
mod links;
mod odd_files;
mod volumes;

use crate::attack::Attack;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    [incidents::ATTACKS, links::ATTACKS, odd_files::ATTACKS, amounts::ATTACKS, volumes::ATTACKS].into_iter().flatten()
}
