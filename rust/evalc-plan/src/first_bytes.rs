//! What a file is by its first bytes, where its name says otherwise.

/// A form that rows cannot be read from as it stands: what it is, and what to do.
pub fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const UTF_16: (&str, &str) = ("UTF-16 text", "save it as UTF-8");
    let known: [(&[u8], (&str, &str)); 11] = [
        (b"\x1f\x8b", ("compressed with gzip", "add `.gz` to its name")),
        (b"\x28\xb5\x2f\xfd", ("compressed with zstd", "add `.zst` to its name")),
        (b"BZh", ("compressed with bzip2", "unpack it, or compress it with gzip or zstd")),
        (b"\xfd7zXZ\0", ("compressed with xz", "unpack it, or compress it with gzip or zstd")),
        (b"PK\x03\x04", ("a zip archive or a workbook", "unpack or export it as CSV")),
        (b"PAR1", ("Parquet", "name it `.parquet`")),
        (b"ARROW1", ("an Arrow file", "write it as Parquet or JSON Lines")),
        (b"\xff\xfe\0\0", ("UTF-32 text", "save it as UTF-8")),
        (b"\0\0\xfe\xff", ("UTF-32 text", "save it as UTF-8")),
        (b"\xff\xfe", UTF_16),
        (b"\xfe\xff", UTF_16),
    ];
    let named = known.iter().find(|(first, _)| bytes.starts_with(first)).map(|(_, what)| *what);
    // ASCII in UTF-16 without a mark has a zero in every other byte
    let every_other = |start: usize| {
        let some: Vec<bool> = bytes.iter().take(8).map(|byte| *byte == 0).collect();
        some.len() >= 4 && some.iter().enumerate().all(|(i, zero)| *zero == (i % 2 == start))
    };
    named.or_else(|| (every_other(0) || every_other(1)).then_some(UTF_16))
}
