//! Configuration files of container engines: what is changed in them to make the nvidia runtime known. Pure: text in, text
//! out. What nobody asked to change keeps its bytes and its order.

pub mod docker;

/// What is to be made known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the runtime.
    pub name: String,
    /// Its program.
    pub path: String,
    /// It is to be the engine's default. An earlier default stays where it is not.
    pub default: bool,
    /// The engine is to read CDI specs.
    pub cdi: bool,
}
