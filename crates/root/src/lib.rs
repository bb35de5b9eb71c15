//! Acts in a container root, through one descriptor and never by joined paths.
#![deny(unsafe_op_in_unsafe_fn)]
