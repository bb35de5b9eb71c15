//! IMEX channels as the legacy programs are asked for them (section 6).

use crate::Error;

/// One more than the highest channel number.
const CHANNELS: u32 = 1 << 20;

/// The channels of a list with commas: decimal, in the order given; empty items are passed over, and one that is there
/// twice stays there twice.
///
/// # Errors
/// An item that is no channel.
pub fn parse(list: &str) -> Result<Vec<u32>, Error> {
    list.split(',').filter(|item| !item.is_empty()).map(channel).collect()
}

fn channel(item: &str) -> Result<u32, Error> {
    let number = item.bytes().all(|byte| byte.is_ascii_digit()).then(|| item.parse().ok()).flatten();
    number
        .filter(|number| *number < CHANNELS)
        .ok_or_else(|| Error::new(format!("unsupported IMEX channel value: {item}")))
}

/// Where the node of a channel lies.
pub fn path(channel: u32) -> String {
    format!("/dev/nvidia-caps-imex-channels/channel{channel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_decimal_and_few() {
        assert_eq!(parse(",0,,2047,0,1048575"), Ok(vec![0, 2047, 0, 1048575]));
        for bad in ["abc", "-1", "1048576", "0x1", "1,all", "99999999999", "+1", " 1"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("unsupported IMEX channel value: "), "{error}");
        }
    }
}
