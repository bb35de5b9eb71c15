//! One gRPC call over a Unix socket: a connection, a request, an answer. A client library would bring an asynchronous
//! runtime with it, and is not needed for messages that fit into one frame (RFC 9113; gRPC over HTTP/2).

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// What a client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACKNOWLEDGED: u8 = 1;
const END_HEADERS: u8 = 4;

/// The one stream of a connection.
const STREAM: u32 = 1;

/// Longer than a pod takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `method` (`/package.Service/Name`) with a message, and gives the message that it answers with. The server's words
/// for an error come compressed, after no message; who wants them finds them in the server's log.
pub fn call(socket: &Path, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    exchange(socket, method, message)
        .map_err(|why| format!("{method}: {why}"))?
        .ok_or_else(|| format!("{method} was refused"))
}

fn exchange(socket: &Path, method: &str, message: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(PREFACE)?;
    send(&mut stream, SETTINGS, 0, 0, &[])?;
    send(&mut stream, HEADERS, END_HEADERS, STREAM, &headers(method))?;
    // Not compressed, so long (gRPC's own prefix).
    let prefixed = [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
    send(&mut stream, DATA, END_STREAM, STREAM, &prefixed)?;
    let mut answer = Vec::new();
    loop {
        let (kind, flags, on, payload) = receive(&mut stream)?;
        match kind {
            SETTINGS if flags & ACKNOWLEDGED == 0 => send(&mut stream, SETTINGS, ACKNOWLEDGED, 0, &[])?,
            DATA if on == STREAM => answer.extend(payload),
            RESET | GO_AWAY => return Ok(None),
            _ => {}
        }
        if on == STREAM && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Ok(answer.split_at_checked(5).map(|(_, message)| message.to_vec()));
        }
    }
}

/// Literals, neither indexed nor compressed (RFC 7541, 6.2.2); each is shorter than 127 bytes.
fn headers(method: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    block
}

fn send(to: &mut UnixStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    to.write_all(&[length, &[kind, flags], &stream.to_be_bytes(), payload].concat())
}

fn receive(from: &mut UnixStream) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload)?;
    Ok((kind, flags, u32::from_be_bytes(stream) & 0x7fff_ffff, payload))
}
