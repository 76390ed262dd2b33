//! Bytes at rest: file digests, and values sealed against silent corruption.

use rayon::prelude::*;
use std::fs::File;
use std::io;

/// Version of the sealed form.
const VERSION: u8 = 1;
/// Codec byte: the payload is stored as it is.
const PLAIN: u8 = 0;
/// Version, codec, and 8 bytes of BLAKE3 over version, codec and payload.
const HEADER: usize = 10;

/// Put a header before a payload: version, codec byte, checksum.
pub fn seal(payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + payload.len());
    value.extend([VERSION, PLAIN]);
    value.extend(checksum(VERSION, PLAIN, payload));
    value.extend(payload);
    value
}

/// The payload of a sealed value, or nothing if a single bit of it changed.
pub fn unseal(value: &[u8]) -> Option<&[u8]> {
    let (head, payload) = value.split_at_checked(HEADER)?;
    let intact =
        head[0] == VERSION && head[1] == PLAIN && head[2..] == checksum(head[0], head[1], payload);
    intact.then_some(payload)
}

/// BLAKE3 in hex of a domain tag and fields, each with its length before it.
pub fn digest_fields(tag: &str, fields: &[Vec<u8>]) -> String {
    let mut state = blake3::Hasher::new();
    for field in std::iter::once(tag.as_bytes()).chain(fields.iter().map(Vec::as_slice)) {
        state.update(&(field.len() as u64).to_le_bytes());
        state.update(field);
    }
    state.finalize().to_hex().to_string()
}

fn checksum(version: u8, codec: u8, payload: &[u8]) -> [u8; 8] {
    let mut state = blake3::Hasher::new();
    state.update(&[version, codec]);
    state.update(payload);
    let mut head = [0; 8];
    head.copy_from_slice(&state.finalize().as_bytes()[..8]);
    head
}

/// BLAKE3 of each file in hex, on all cores; the first unreadable path is the error.
pub fn hash_files(paths: &[String]) -> Result<Vec<String>, (String, io::Error)> {
    paths.par_iter().map(|path| hash_file(path).map_err(|error| (path.clone(), error))).collect()
}

/// Files above this size are read in one piece and hashed on all cores.
const SPLIT: u64 = 1 << 20;
/// Bytes in memory at a time.
const BLOCK: usize = 1 << 26;

fn hash_file(path: &str) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut state = blake3::Hasher::new();
    if file.metadata()?.len() < SPLIT {
        io::copy(&mut file, &mut state)?;
    } else {
        let mut block = Vec::new();
        loop {
            block.clear();
            let read =
                io::Read::read_to_end(&mut io::Read::take(&mut file, BLOCK as u64), &mut block)?;
            if read == 0 {
                break;
            }
            state.update_rayon(&block);
        }
    }
    Ok(state.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_to_its_payload() {
        assert_eq!(unseal(&seal(b"payload")), Some(&b"payload"[..]));
        assert_eq!(unseal(&seal(b"")), Some(&b""[..]));
    }

    #[test]
    fn any_flipped_bit_or_lost_byte_is_noticed() {
        let value = seal(b"payload");
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&bad), None, "bit {bit}");
        }
        for length in 0..value.len() {
            assert_eq!(unseal(&value[..length]), None);
        }
    }

    #[test]
    fn hashing_in_blocks_equals_hashing_at_once() {
        let path = std::env::temp_dir().join(format!("evalc-seal-{}", std::process::id()));
        let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).expect("a temporary file");
        let name = path.to_string_lossy().into_owned();
        let hashed = hash_files(&[name]).expect("readable");
        std::fs::remove_file(&path).expect("removable");
        assert_eq!(hashed[0], blake3::hash(&content).to_hex().to_string());
    }
}
