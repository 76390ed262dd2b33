//! Files of the memo: typed columns behind a checksum, read and written without a second copy.
//!
//! A file is 16 bytes of magic, 32 of the BLAKE3 of the rest, then sections: 8 bytes of length, bytes.
//!
//! Columns are in the byte order of the machine, which is part of a file's name. A file that is
//! damaged, foreign or of another version is not there. Files are replaced by rename, and a failure
//! to write one is no failure of the plan.

use crate::digest::Digest;
use crate::ids::Ids;
use crate::texts::Texts;
use bytemuck::Pod;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"evalc.memo.v0002";
const HEADER: u64 = 48;
/// Bytes that are hashed and written at once.
const BLOCK: usize = 1 << 22;

/// Reads the sections of a file in order; nothing is to be believed before [`Reader::whole`].
pub struct Reader {
    file: File,
    left: u64,
    state: blake3::Hasher,
    sum: Digest,
}

impl Reader {
    /// Open a file of this version.
    pub fn open(path: &Path) -> Option<Reader> {
        let mut file = File::open(path).ok()?;
        let left = file.metadata().ok()?.len().checked_sub(HEADER)?;
        let (mut magic, mut sum) = ([0; 16], [0; 32]);
        file.read_exact(&mut magic).ok()?;
        file.read_exact(&mut sum).ok()?;
        (&magic == MAGIC).then(|| Reader { file, left, state: blake3::Hasher::new(), sum })
    }

    /// The next section as a column. A length that cannot be is refused before memory is taken.
    pub fn column<T: Pod>(&mut self) -> Option<Vec<T>> {
        let mut head = [0; 8];
        self.left = self.left.checked_sub(8)?;
        self.file.read_exact(&mut head).ok()?;
        self.state.update(&head);
        let length = u64::from_le_bytes(head);
        self.left = self.left.checked_sub(length)?;
        let size = size_of::<T>() as u64;
        if !length.is_multiple_of(size) {
            return None;
        }
        let mut column: Vec<T> = bytemuck::zeroed_vec(usize::try_from(length / size).ok()?);
        for block in bytemuck::cast_slice_mut::<T, u8>(&mut column).chunks_mut(BLOCK) {
            self.file.read_exact(block).ok()?;
            self.state.update_rayon(block);
        }
        Some(column)
    }

    /// The next two sections as texts.
    pub fn texts(&mut self) -> Option<Texts> {
        let bytes = self.column()?;
        Texts::from_parts(bytes, self.column()?)
    }

    /// The next two sections as token ids.
    pub fn ids(&mut self) -> Option<Ids> {
        match self.column::<u8>()?.as_slice() {
            [2] => self.column().map(Ids::Narrow),
            [4] => self.column().map(Ids::Wide),
            _ => None,
        }
    }

    /// The checksum that the file states, whether it holds or not.
    pub fn stated(&self) -> Digest {
        self.sum
    }

    /// The file's checksum, if it holds and nothing is left over.
    pub fn whole(self) -> Option<Digest> {
        let found = *self.state.finalize().as_bytes();
        (self.left == 0 && found == self.sum).then_some(found)
    }
}

/// Writes sections into a temporary file beside the one it will be.
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
    state: blake3::Hasher,
}

impl Writer {
    /// Start a file.
    pub fn create(path: &Path) -> Writer {
        let temporary = path.with_extension(format!("{}.part", std::process::id()));
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let mut file = File::create(&temporary).ok();
        if let Some(open) = &mut file {
            if open.write_all(&[0; HEADER as usize]).is_err() {
                file = None;
            }
        }
        Writer { path: path.to_path_buf(), temporary, file, state: blake3::Hasher::new() }
    }

    /// Write a column as the next section.
    pub fn column<T: Pod>(&mut self, column: &[T]) -> &mut Self {
        let bytes: &[u8] = bytemuck::cast_slice(column);
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        bytes.chunks(BLOCK).for_each(|block| self.bytes(block));
        self
    }

    /// Write texts as two sections.
    pub fn texts(&mut self, texts: &Texts) -> &mut Self {
        let (bytes, ends) = texts.parts();
        self.column(bytes).column(ends)
    }

    /// Write token ids as two sections.
    pub fn ids(&mut self, ids: &Ids) -> &mut Self {
        match ids {
            Ids::Narrow(ids) => self.column(&[2_u8]).column(ids),
            Ids::Wide(ids) => self.column(&[4_u8]).column(ids),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.state.update_rayon(bytes);
        if self.file.as_mut().is_some_and(|file| file.write_all(bytes).is_err()) {
            self.file = None;
        }
    }

    /// Put the file in place; returns its checksum.
    pub fn finish(self) -> Digest {
        let sum = *self.state.finalize().as_bytes();
        let put = |mut file: File| -> std::io::Result<()> {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(MAGIC)?;
            file.write_all(&sum)?;
            std::fs::rename(&self.temporary, &self.path)
        };
        if self.file.is_none_or(|file| put(file).is_err()) {
            let _ = std::fs::remove_file(&self.temporary);
        }
        sum
    }
}
