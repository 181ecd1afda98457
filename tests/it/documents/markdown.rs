//! Reads what a test needs out of a document: sections, tables, values of examples, transcripts.

use std::collections::BTreeMap;
use std::path::Path;

/// A document of docs/.
pub(crate) struct Document {
    name: &'static str,
    text: String,
}

/// Part of a document: what is under one heading.
pub(crate) struct Section<'a> {
    name: String,
    text: &'a str,
}

/// The values of an example, by name.
pub(crate) struct Values {
    section: String,
    values: BTreeMap<String, String>,
}

/// Who sends a message of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// One line of a transcript with the payload that follows it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) from: From,
    pub(crate) line: String,
    pub(crate) payload: Vec<u8>,
}

impl Document {
    pub(crate) fn read(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { name, text }
    }

    /// Whether these lines are somewhere in it.
    pub(crate) fn contains(&self, lines: &str) -> bool {
        self.text.contains(lines)
    }

    /// What is under a heading, up to the next of the same or a higher level.
    pub(crate) fn section(&self, heading: &str) -> Section<'_> {
        let name = format!("{}, {heading:?}", self.name);
        let mut found: Option<(usize, usize)> = None;
        let mut at = 0;
        let mut fenced = false;
        for line in self.text.split_inclusive('\n') {
            let level = line.bytes().take_while(|&b| b == b'#').count();
            if line.starts_with("```") {
                fenced = !fenced;
            } else if level > 0 && !fenced {
                match found {
                    Some((start, own)) if level <= own => {
                        return Section { name, text: &self.text[start..at] };
                    }
                    None if line.trim_start_matches('#').trim() == heading => {
                        found = Some((at + line.len(), level))
                    }
                    _ => {}
                }
            }
            at += line.len();
        }
        let (start, _) = found.unwrap_or_else(|| panic!("{name}: no such heading"));
        Section { name, text: &self.text[start..] }
    }
}

impl Message {
    /// As a transcript has it: the line, then the payload in rows of 32 bytes.
    pub(crate) fn to_text(&self) -> String {
        let from = if self.from == From::Client { 'C' } else { 'S' };
        let digits = |row: &[u8]| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let rows: String = self.payload.chunks(32).map(|row| format!("{from}= {}\n", digits(row))).collect();
        format!("{from}: {}\n{rows}", self.line)
    }
}

impl Section<'_> {
    pub(crate) fn text(&self) -> &str {
        self.text
    }

    /// The rows of the table whose first column has this title, without backquotes.
    pub(crate) fn table(&self, first_title: &str) -> Vec<Vec<String>> {
        let cells = |line: &str| -> Vec<String> {
            let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
            inner.split('|').map(|cell| cell.trim().replace('`', "")).collect()
        };
        let mut lines = self.text.lines().skip_while(|l| !l.starts_with('|') || cells(l)[0] != first_title);
        assert!(lines.next().is_some(), "{}: no table {first_title:?}", self.name);
        lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
    }

    /// The lines of the blocks that are indented by four, without those that go on with the line before.
    pub(crate) fn indented(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with(' '))
    }

    /// The headings below this one.
    pub(crate) fn headings(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
    }

    /// The lines of the fenced blocks of one kind.
    pub(crate) fn fenced<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let opening = format!("```{kind}");
        let mut inside = false;
        self.text.lines().filter(move |line| {
            let was_inside = inside;
            if line.starts_with("```") {
                inside = **line == opening;
            }
            was_inside && inside
        })
    }

    /// The `name = value` lines of the examples here. A value goes on in lines that are indented.
    pub(crate) fn values(&self) -> Values {
        let mut values = BTreeMap::<String, String>::new();
        let mut last = String::new();
        for line in self.fenced("text") {
            if line.starts_with(' ') {
                values.entry(last.clone()).or_default().push_str(line.trim());
            } else {
                let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{}: {line:?}", self.name));
                last = name.trim().to_owned();
                values.insert(last.clone(), value.trim().to_owned());
            }
        }
        Values { section: self.name.clone(), values }
    }

    /// The messages of the transcript here.
    pub(crate) fn transcript(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for line in self.fenced("transcript") {
            let (mark, rest) = line.split_at(3);
            let from = if mark.starts_with('C') { From::Client } else { From::Server };
            match &mark[1..] {
                ": " => messages.push(Message { from, line: rest.to_owned(), payload: Vec::new() }),
                "= " => {
                    let message = messages.last_mut().filter(|message| message.from == from);
                    message.unwrap_or_else(|| panic!("{}: {line:?}", self.name)).payload.extend(hex(rest));
                }
                _ => panic!("{}: {line:?}", self.name),
            }
        }
        assert!(!messages.is_empty(), "{}: no transcript", self.name);
        messages
    }
}

impl Values {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.values.get(name).unwrap_or_else(|| panic!("{}: no {name:?}", self.section))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name)
            .try_into()
            .unwrap_or_else(|_| panic!("{}: {name:?} has another length", self.section))
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{}: {name:?} is no number", self.section))
    }
}

/// Bytes written in hexadecimal.
fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "{text:?} is not hexadecimal");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16);
    (0..text.len())
        .step_by(2)
        .map(|at| byte(at).unwrap_or_else(|_| panic!("{text:?} is not hexadecimal")))
        .collect()
}
