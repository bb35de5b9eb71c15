//! Messages in protobuf's wire format (protobuf.dev, "Encoding"), as far as the calls here need it: texts, numbers, and
//! messages within messages.

/// A message being written.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// With a text.
    pub fn text(mut self, field: u64, value: &str) -> Message {
        self.delimited(field, value.as_bytes());
        self
    }

    /// With a message.
    pub fn part(mut self, field: u64, value: &Message) -> Message {
        self.delimited(field, &value.0);
        self
    }

    /// With a number, a truth value or a member of an enumeration.
    pub fn number(mut self, field: u64, value: u64) -> Message {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn delimited(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The bytes of a text or message; the last one of that number counts.
pub fn part(message: &[u8], field: u64) -> Option<&[u8]> {
    match find(message, field)? {
        Value::Bytes(bytes) => Some(bytes),
        Value::Number(_) => None,
    }
}

/// A text.
pub fn text(message: &[u8], field: u64) -> Option<String> {
    Some(String::from_utf8_lossy(part(message, field)?).into_owned())
}

/// A number; one that is not there is 0.
pub fn number(message: &[u8], field: u64) -> u64 {
    match find(message, field) {
        Some(Value::Number(number)) => number,
        _ => 0,
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn find(mut message: &[u8], field: u64) -> Option<Value<'_>> {
    let mut found = None;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Number(take_varint(&mut message)?),
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        if key >> 3 == field {
            found = Some(value);
        }
    }
    found
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
