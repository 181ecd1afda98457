//! The answer to a LOOK: everything that a server holds of one name, one record per line.

use super::limits::{MAX_PIECE, MAX_RECORDS};
use super::words::{ParseError, Words};
use crate::commit::PieceState;
use crate::sealed::{Claim, Header, Opening};
use crate::text::{base64_decode, base64_encode};
use crate::version::Version;

/// Everything that a server holds of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameReport {
    /// The name's floor: nothing of this generation or an older one may be staged under it.
    pub floor: u64,
    /// The server's clock: milliseconds since 1970 UTC.
    pub clock: u64,
    /// The pieces, published and staged.
    pub pieces: Vec<Reported>,
}

/// One piece in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// A piece whose header can be read.
    Piece(PieceState, Box<Claim>),
    /// What was kept of a piece whose connection was lost while it arrived.
    Partial(Box<Opening>, u64),
    /// The newest version of which a large piece is arriving.
    Arriving(Version),
    /// A piece file whose header cannot be read, by its number.
    Damaged(u8),
}

impl NameReport {
    /// The payload.
    pub fn to_text(&self) -> String {
        let mut text = format!("floor {}\nclock {}\n", self.floor, self.clock);
        self.pieces.iter().for_each(|piece| text.push_str(&piece.to_line()));
        text
    }

    /// Parses a payload.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (first, rest) = text.split_once('\n').ok_or(ParseError("floor"))?;
        let (second, rest) = rest.split_once('\n').ok_or(ParseError("clock"))?;
        let (floor, clock) = (number_of(first, "floor")?, number_of(second, "clock")?);
        let mut pieces = Vec::new();
        for line in rest.split_terminator('\n') {
            if pieces.len() == MAX_RECORDS {
                return Err(ParseError("no more records than a name can have pieces"));
            }
            pieces.push(Reported::parse(line)?);
        }
        Ok(NameReport { floor, clock, pieces })
    }
}

impl Reported {
    fn to_line(&self) -> String {
        let (word, claim) = match self {
            Reported::Piece(PieceState::Published, claim) => ("published", claim),
            Reported::Piece(PieceState::Staged { open: false }, claim) => ("staged", claim),
            Reported::Piece(PieceState::Staged { open: true }, claim) => ("open", claim),
            Reported::Partial(opening, chunks) => {
                let bytes = [&opening.header.encode()[..], &opening.seal].concat();
                return format!("partial {} {chunks}\n", base64_encode(&bytes));
            }
            Reported::Arriving(version) => return format!("arriving {version}\n"),
            Reported::Damaged(piece) => return format!("damaged {piece}\n"),
        };
        let bytes = [&claim.header.encode()[..], &claim.root, &claim.seal].concat();
        format!("{word} {}\n", base64_encode(&bytes))
    }

    fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let reported = match words.next("a record")? {
            "published" => Reported::Piece(PieceState::Published, claim(&mut words)?),
            "staged" => Reported::Piece(PieceState::Staged { open: false }, claim(&mut words)?),
            "open" => Reported::Piece(PieceState::Staged { open: true }, claim(&mut words)?),
            "partial" => Reported::Partial(opening(&mut words)?, words.number("chunks")?),
            "arriving" => Reported::Arriving(words.version()?),
            "damaged" => Reported::Damaged(words.number_within("piece number", 0..=MAX_PIECE)?),
            _ => return Err(ParseError("a record")),
        };
        words.end()?;
        Ok(reported)
    }
}

/// The number of a record that has a word and a number.
fn number_of(record: &str, word: &'static str) -> Result<u64, ParseError> {
    let mut words = Words::of(record);
    if words.next(word)? != word {
        return Err(ParseError(word));
    }
    let number = words.number(word)?;
    words.end()?;
    Ok(number)
}

fn claim(words: &mut Words<'_>) -> Result<Box<Claim>, ParseError> {
    words.parse("a claim", |word| {
        let bytes = base64_decode(word)?;
        let header = Header::decode(&bytes).ok()?;
        let tail: &[u8; 64] = bytes[header.encoded_len()..].try_into().ok()?;
        let mut claim = Box::new(Claim { header, root: [0; 32], seal: [0; 32] });
        claim.root.copy_from_slice(&tail[..32]);
        claim.seal.copy_from_slice(&tail[32..]);
        Some(claim)
    })
}

fn opening(words: &mut Words<'_>) -> Result<Box<Opening>, ParseError> {
    words.parse("a header and its seal", |word| {
        let bytes = base64_decode(word)?;
        let header = Header::decode(&bytes).ok()?;
        let seal = bytes[header.encoded_len()..].try_into().ok()?;
        Some(Box::new(Opening { header, seal }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{FilePath, UserName};
    use crate::version::Version;

    #[test]
    fn reports_come_back() {
        let (user, path) = (UserName::parse("u").unwrap(), FilePath::parse("p").unwrap());
        let version = Version { generation: 1, upload: [1; 16] };
        let header = Header::tombstone(user, path, version, 2, [0; 16]);
        let opening = Opening { header: header.clone(), seal: [3; 32] };
        let claim = Box::new(Claim { header, root: [1; 32], seal: [2; 32] });
        let report = NameReport {
            floor: 4,
            clock: 5,
            pieces: vec![
                Reported::Piece(PieceState::Published, claim.clone()),
                Reported::Piece(PieceState::Staged { open: true }, claim.clone()),
                Reported::Piece(PieceState::Staged { open: false }, claim),
                Reported::Partial(Box::new(opening), 7),
                Reported::Damaged(3),
            ],
        };
        assert_eq!(NameReport::parse(&report.to_text()), Ok(report));
        for text in
            ["", "floor 4\n", "clock 5\n", "clock 5\nfloor 4\n", "floor 4\nclock 05\n", "floor 4\nclock 5"]
        {
            assert!(NameReport::parse(text).is_err(), "{text}");
        }
        assert!(NameReport::parse("floor 4\nclock 5\npublished eA==\n").is_err());
    }
}
