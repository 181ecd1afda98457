//! The messages of PROTOCOL.md.

use std::io::{self, BufRead, Read, Write};

/// The most bytes of a line, its LF included.
pub const MAX_LINE: u64 = 4096;
/// The most bytes of a piece, and of a reply.
pub const MAX_LENGTH: u64 = 1 << 40;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `length` bytes of a piece follow the line.
    Put {
        piece: u8,
        length: u64,
        path: String,
    },
    Get {
        piece: u8,
        path: String,
    },
    List {
        folder: String,
    },
    Mkdir {
        folder: String,
    },
}

/// Reads one line, without its LF. None if the connection ends before a line begins.
///
/// # Errors
/// A line that is too long, has no end or is not UTF-8; and those of the connection.
pub fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    // TODO
    Ok(None)
}

impl Request {
    /// Reads a request's line. The path is not checked yet: see [`is_path`].
    ///
    /// None for a line that is none of the four requests.
    pub fn parse(line: &str) -> Option<Self> {
        // TODO
        None
    }

    /// Its line, with the LF.
    pub fn to_line(&self) -> String {
        // TODO
        String::new()
    }
}

/// Whether a path may be stored: a server must never look outside of its folder, and a folder must
/// never look like a piece.
pub fn is_path(path: &str) -> bool {
    // TODO
    false
}

/// The same for a folder. `.` is the one with everything in it.
pub fn is_folder(path: &str) -> bool {
    // TODO
    false
}

/// Reads the line of a reply: the length of what follows it, or why the server refused.
///
/// # Errors
/// Those of the connection, and a line that is no reply.
pub fn read_reply(from: &mut impl BufRead) -> io::Result<Result<u64, String>> {
    // TODO
    Err(io::ErrorKind::Unsupported.into())
}

/// Copies exactly `length` bytes, in bounded memory.
///
/// # Errors
/// `UnexpectedEof` if there are fewer; and those of the two ends.
pub fn copy(from: &mut impl Read, to: &mut impl Write, length: u64) -> io::Result<()> {
    // TODO
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_request_and_a_request_a_line() {
        let put = Request::Put { piece: 1, length: 6, path: "my notes/a b.txt".to_string() };
        let empty = Request::Put { piece: 1, length: 1 << 40, path: String::new() };
        let get = Request::Get { piece: 4, path: "poem.txt".to_string() };
        let list = Request::List { folder: ".".to_string() };
        for (line, request) in [
            ("PUT 1 6 my notes/a b.txt", put),
            ("PUT 1 1099511627776 ", empty),
            ("GET 4 poem.txt", get),
            ("LIST .", list),
            ("MKDIR notes", Request::Mkdir { folder: "notes".to_string() }),
        ] {
            assert_eq!(request.to_line(), format!("{line}\n"));
            assert_eq!(Request::parse(line), Some(request));
        }
        for line in ["", "PUT", "PUT 1", "PUT 1 6", "PUT 5 6 a", "PUT 01 6 a", "GET a", "list ."] {
            assert_eq!(Request::parse(line), None, "{line}");
        }
        for length in ["-6", "+6", "06", "", "1099511627777", &"9".repeat(4000)] {
            assert_eq!(Request::parse(&format!("PUT 1 {length} a")), None, "{length}");
        }
    }

    #[test]
    fn lines_are_read_one_after_another_and_the_bytes_after_them_are_left() {
        let mut bytes = &b"PUT 1 6 a\nhello\nGET 1 a\n"[..];
        assert_eq!(read_line(&mut bytes).unwrap().unwrap(), "PUT 1 6 a");
        let mut piece = Vec::new();
        copy(&mut bytes, &mut piece, 6).unwrap();
        assert_eq!(piece, b"hello\n");
        assert_eq!(read_line(&mut bytes).unwrap().unwrap(), "GET 1 a");
        assert_eq!(read_line(&mut bytes).unwrap(), None);
        assert!(copy(&mut &b"abc"[..], &mut Vec::new(), 4).is_err());
        assert!(read_line(&mut &b"GET 1 a"[..]).is_err());
        assert!(read_line(&mut &[b"a".repeat(5000), b"\n".to_vec()].concat()[..]).is_err());
    }

    #[test]
    fn a_reply_has_a_length_or_a_reason() {
        assert_eq!(read_reply(&mut &b"OK 12\n"[..]).unwrap(), Ok(12));
        assert_eq!(read_reply(&mut &b"NO not-found\n"[..]).unwrap(), Err("not-found".to_string()));
        assert!(read_reply(&mut &b"OK many\n"[..]).is_err());
        assert!(read_reply(&mut &b""[..]).is_err());
    }

    #[test]
    fn no_path_leads_out_of_the_folder_or_to_a_piece() {
        for path in ["a", "a b", "notes/a", "x/y/z", ".hidden", "..a", "übung.txt"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["", ".", "..", "/a", "a/", "a//b", "../a", "notes/../../a", ".a.1/b", "a\nb", "a\0b"] {
            assert!(!is_path(path), "{path:?}");
        }
        assert!(is_folder(".") && is_folder("notes") && is_folder("x/y"));
        assert!(!is_folder("") && !is_folder("..") && !is_folder(".a.1") && !is_folder("x/.y"));
    }
}
