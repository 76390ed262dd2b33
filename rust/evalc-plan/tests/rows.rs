//! Data files in every form that the reader takes.

mod fixture;

use evalc_plan::ir::{Compression, Dataset, Format};
use evalc_plan::rows::{read_all, Table};
use fixture::Folder;
use std::io::Write;

const JSONL: &str = "{\"a\":\"1\",\"b\":\"x, y\"}\n{\"a\":\"2\",\"b\":\"é\"}\n";
const CSV: &str = "a,b\n1,\"x, y\"\n2,é\n";
const TSV: &str = "a\tb\n1\tx, y\n2\té\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).expect("memory");
    out.finish().expect("memory")
}

fn rows(folder: &Folder, name: &str, content: impl AsRef<[u8]>) -> Result<String, String> {
    let path = folder.write(name, content);
    let parts: Vec<&str> = name.split('.').collect();
    let compression = match parts.get(2) {
        Some(&"gz") => "gzip",
        Some(&"zst") => "zstd",
        _ => "none",
    };
    read_all(&path, parts[1], compression, None, None).map_err(|found| found[0].message.clone())
}

#[test]
fn every_form_of_the_same_rows_reads_the_same() {
    let folder = Folder::new("forms");
    let expected = "[{\"a\":\"1\",\"b\":\"x, y\"},{\"a\":\"2\",\"b\":\"é\"}]";
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("memory");
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("d.jsonl", JSONL.into()),
        ("d.csv", CSV.into()),
        ("d.tsv", TSV.into()),
        ("w.jsonl", JSONL.replace('\n', "\r\n").into()),
        ("w.csv", CSV.replace('\n', "\r\n").into()),
        ("bom.jsonl", format!("\u{feff}{JSONL}").into()),
        ("bom.csv", format!("\u{feff}{CSV}").into()),
        ("gaps.jsonl", format!("\n{}", JSONL.replace('\n', "\n\n")).into()),
        ("open.jsonl", JSONL.trim_end().into()),
        ("d.jsonl.gz", gzip(JSONL)),
        ("d.csv.gz", gzip(CSV)),
        ("d.jsonl.zst", zstd(JSONL)),
    ];
    for (name, content) in forms {
        assert_eq!(rows(&folder, name, content).as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = Folder::new("unreadable");
    let cut = &gzip(&JSONL.repeat(100))[..40];
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for (name, content, word) in [
        ("cut.jsonl.gz", cut, "decompress"),
        ("bad.jsonl.zst", &b"not zstd"[..], "decompress"),
        ("pointer.jsonl", pointer.as_bytes(), "git-LFS"),
        ("empty.csv", b"a,b\n", "no rows"),
        ("uneven.csv", b"a,b\n1,2,3\n", "3 fields"),
        ("latin.csv", b"a,b\n1,\xe9\n", "UTF-8"),
        ("list.jsonl", b"[1]\n", "not an object"),
        ("open.jsonl", b"{\"a\": \n", "not JSON"),
    ] {
        let message = rows(&folder, name, content).expect_err(name);
        assert!(message.contains(word), "{name}: {message}");
    }
    let gone = read_all("no/such/file.jsonl", "jsonl", "none", None, None).expect_err("gone");
    assert!(gone[0].message.contains("cannot read"), "{}", gone[0].message);
}

#[test]
fn a_number_that_cannot_be_kept_is_passed_on_as_written_or_refused_by_line() {
    let folder = Folder::new("odd");
    let content = "{\"a\": 1}\n {\"a\": [1e400, NaN]} \n{\"a\": 12345678901234567890123}\n";
    let path = folder.write("odd.jsonl", content);
    let kept = read_all(&path, "jsonl", "none", None, None).expect("rows");
    assert_eq!(kept, "[{\"a\":1},{\"a\": [1e400, NaN]},{\"a\": 12345678901234567890123}]");
    let found = read_all(&path, "jsonl", "none", None, Some("own.jsonl")).expect_err("faults");
    let told: Vec<_> = found.iter().map(|f| (f.code, f.line, f.message.as_str())).collect();
    let (large, long) = ("a number too large for 64 bits", "an integer beyond 64 bits");
    assert_eq!(
        told,
        [
            ("missing-column", Some(2), format!("the row on line 2 has {large} in `a`").as_str()),
            ("missing-column", Some(3), format!("the row on line 3 has {long} in `a`").as_str()),
        ]
    );
    assert_eq!(found[0].file.as_deref(), Some("own.jsonl"));
}

#[test]
fn a_row_is_known_by_its_bytes_and_its_header() {
    let folder = Folder::new("digests");
    let table = |name: &str, content: &str, format| {
        Table::load(&Dataset {
            control_tokens: Vec::new(),
            name: "d".into(),
            path: folder.write(name, content),
            format,
            compression: Compression::None,
            quote: None,
            origin: name.into(),
            rows: None,
            condition: None,
            id: None,
        })
        .unwrap_or_else(|fault| panic!("{fault:?}"))
    };
    let one = table("one.csv", CSV, Format::Csv);
    let moved = table("two.csv", "a,b\n2,é\n1,\"x, y\"\n", Format::Csv);
    let renamed = table("three.csv", &CSV.replace("a,b", "a,c"), Format::Csv);
    assert_eq!(one.row_digest(0), moved.row_digest(1));
    assert_ne!(one.row_digest(0), renamed.row_digest(0));
    assert_eq!((one.len(), one.line(1), moved.line(0)), (2, 3, 2));
    assert!(one.digest() != moved.digest() && !one.is_empty());
}
