//! What a server answers: one reply to each request, in order.

use super::limits::MAX_DETAIL;
use super::refusal::Refusal;
use super::words::{ParseError, Words};
use crate::name::ServerName;
use crate::primitives::Bytes32;
use crate::text::{base64_encode, hex, percent_decode, percent_encode};

/// A server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `CHALLENGE SERVER BASE64`: the server's name and the SCRAM server-first message.
    Challenge(ServerName, String),
    /// `WELCOME BASE64`: the SCRAM server-final message; from here on every line has a MAC.
    Welcome(String),
    /// `OK`: done.
    Ok,
    /// `TEXT LENGTH HASH`: done; LENGTH bytes of text with this SHA-256 follow.
    Text(u64, Bytes32),
    /// `MORE LENGTH HASH`: like TEXT, but followed by another MORE or a TEXT. With length 0, also a sign of life
    /// during a long operation.
    More(u64, Bytes32),
    /// `DATA LENGTH`: bytes of a piece file follow, which the piece's own hashes protect.
    Data(u64),
    /// `NO REFUSAL DETAIL`: not done.
    No(Refusal, String),
}

impl Reply {
    /// The line without MAC and LF.
    pub fn to_line(&self) -> String {
        match self {
            Reply::Challenge(server, message) => {
                format!("CHALLENGE {server} {}", base64_encode(message.as_bytes()))
            }
            Reply::Welcome(message) => format!("WELCOME {}", base64_encode(message.as_bytes())),
            Reply::Ok => "OK".to_owned(),
            Reply::Text(length, hash) => format!("TEXT {length} {}", hex(hash)),
            Reply::More(length, hash) => format!("MORE {length} {}", hex(hash)),
            Reply::Data(length) => format!("DATA {length}"),
            Reply::No(refusal, detail) => format!("NO {} {}", refusal.word(), percent_encode(cut(detail))),
        }
    }

    /// Parses a line from which the MAC, if it has one, was removed.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let reply = match words.next("a reply")? {
            "CHALLENGE" => {
                let name = words.parse("server name", |word| ServerName::parse(word).ok())?;
                Reply::Challenge(name, words.message()?)
            }
            "WELCOME" => Reply::Welcome(words.message()?),
            "OK" => Reply::Ok,
            "TEXT" => Reply::Text(words.number("length")?, words.hex("hash")?),
            "MORE" => Reply::More(words.number("length")?, words.hex("hash")?),
            "DATA" => Reply::Data(words.number("length")?),
            "NO" => {
                let refusal = words.parse("a refusal", Refusal::parse)?;
                let detail = words.parse("detail", percent_decode)?;
                Reply::No(refusal, cut(&detail).to_owned())
            }
            _ => return Err(ParseError("a reply")),
        };
        words.end()?;
        Ok(reply)
    }

    /// A refusal with its usual text.
    pub fn no(refusal: Refusal) -> Reply {
        Reply::No(refusal, refusal.to_string())
    }
}

/// A detail is for people: a writer cuts it so that its line is never too long, a reader so that it does not fill the
/// screen.
fn cut(detail: &str) -> &str {
    if detail.is_empty() {
        return "-";
    }
    let fits = |&(at, c): &(usize, char)| at + c.len_utf8() <= MAX_DETAIL;
    let end = detail.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    &detail[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reply_comes_back() {
        let name = ServerName::parse("Server1").unwrap();
        let mut replies = vec![
            Reply::Challenge(name, "r=abc,s=QUJD,i=4096".into()),
            Reply::Welcome("v=eA==".into()),
            Reply::Ok,
            Reply::Text(0, [7; 32]),
            Reply::More(1 << 20, [7; 32]),
            Reply::Data(u64::MAX),
        ];
        replies.extend(Refusal::all().map(Reply::no));
        for reply in replies {
            assert_eq!(Reply::parse(&reply.to_line()), Ok(reply));
        }
    }

    #[test]
    fn a_long_detail_is_cut_to_fit_its_line() {
        assert_eq!(cut(&format!("a{}", "ü".repeat(400))).len(), MAX_DETAIL - 1);
        let line = Reply::No(Refusal::DiskError, "ü".repeat(5000)).to_line();
        assert!(line.len() < crate::wire::MAX_LINE - 65);
        assert!(Reply::parse(&line).is_ok());
        assert!(Reply::parse(&Reply::No(Refusal::DiskError, String::new()).to_line()).is_ok());
    }

    #[test]
    fn replies_with_words_amiss_are_refused() {
        for line in [
            "",
            "OK ",
            "OK 1",
            "DATA",
            "DATA -1",
            "DATA 01",
            "NO what x",
            "TEXT 1",
            "TEXT 1 zz",
            "CHALLENGE ../x eA==",
        ] {
            assert!(Reply::parse(line).is_err(), "{line}");
        }
    }
}
