//! Buffers the bytes of a new file, because they arrive in parts of any size.

use std::io::{self, Write};

/// A file that is written from its start to its end.
pub(super) struct Output<F> {
    file: F,
    memory: Vec<u8>,
    filled: usize,
}

impl<F: Write> Output<F> {
    /// With a buffer of `capacity` bytes.
    pub(super) fn new(file: F, capacity: usize) -> Self {
        Self { file, memory: vec![0; capacity], filled: 0 }
    }

    /// The file, without the bytes that are still in the buffer.
    pub(super) fn file(&self) -> &F {
        &self.file
    }

    /// Where the next bytes must be put.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.filled..]
    }

    /// Takes the first `bytes` of [`Output::room`], which have been filled, and returns them.
    pub(super) fn advance(&mut self, bytes: usize) -> &[u8] {
        let before = self.filled;
        self.filled = self.memory.len().min(before + bytes);
        &self.memory[before..self.filled]
    }

    /// Adds bytes, and writes the buffer to the file if it has no room for them.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.room().len() < bytes.len() {
            self.write_out()?;
        }
        match self.room().get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.advance(bytes.len());
                Ok(())
            }
            None => self.file.write_all(bytes),
        }
    }

    /// Writes the buffer to the file, and returns how many bytes that was.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub(super) fn write_out(&mut self) -> io::Result<usize> {
        self.file.write_all(&self.memory[..self.filled])?;
        Ok(std::mem::take(&mut self.filled))
    }
}
