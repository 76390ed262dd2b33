//! Compressed files, unpacked as long as they fit.

use super::too_long;
use crate::bounds;
use crate::fault::Fault;
use crate::ir::{Compression, Dataset};
use std::io::Read;

/// The content of a file that is compressed as its dataset says.
pub(super) fn decompress(raw: Vec<u8>, dataset: &Dataset) -> Result<Vec<u8>, Fault> {
    let unpacked = match dataset.compression {
        Compression::None => return Ok(raw),
        Compression::Gzip => unpack(flate2::read::MultiGzDecoder::new(raw.as_slice()), dataset),
        Compression::Zstd => zstd::stream::Decoder::new(raw.as_slice())
            .map_err(|error| damaged(&error, dataset))
            .and_then(|decoder| unpack(decoder, dataset)),
    };
    unpacked.map_err(|fault| fault.at("datasets", &dataset.name, "path"))
}

/// What comes out, as long as it fits: a small file may hold more than the memory does.
fn unpack(mut packed: impl Read, dataset: &Dataset) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 1 << 18];
    let (mut line, mut start) = (1, 0);
    loop {
        let length = packed.read(&mut chunk).map_err(|error| damaged(&error, dataset))?;
        if length == 0 {
            return Ok(bytes);
        }
        for at in memchr::memchr_iter(b'\n', &chunk[..length]) {
            line += 1;
            start = bytes.len() + at + 1;
        }
        bytes.extend_from_slice(&chunk[..length]);
        if bytes.len() - start > bounds::ROW {
            return Err(too_long(&dataset.origin, line));
        }
        if bytes.len() > bounds::UNPACKED {
            let limit = bounds::UNPACKED >> 20;
            let message = format!("`{}` unpacks to more than {limit} MiB", dataset.origin);
            return Err(Fault::new("data-too-large", message)
                .in_file(&dataset.origin, Some(line))
                .hint("unpack the file, or split it"));
        }
    }
}

fn damaged(error: &std::io::Error, dataset: &Dataset) -> Fault {
    Fault::new("data-malformed", format!("cannot decompress `{}`: {error}", dataset.origin))
        .hint("check that the file is complete and that its suffix says what it is")
}
