//! Short names for contents.

/// The 64-bit FNV-1a hash of `content`. It tells contents apart that differ by accident; somebody who wants two of one
/// digest can make them, so that nothing of an enemy's is believed for its digest.
pub fn digest(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the hash's authors publish.
    #[test]
    fn is_fnv_1a() {
        for (content, want) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(digest(content.as_bytes()), want, "{content}");
        }
    }
}
