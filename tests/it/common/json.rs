//! A small reader of JSON (RFC 8259), to see that what a program prints is JSON and says what it should.

use std::iter::Peekable;
use std::str::Chars;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value, with nothing after it.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Json {
        let mut reader = Reader(text.chars().peekable());
        let value = reader.value().filter(|_| reader.next().is_none());
        value.unwrap_or_else(|| panic!("not JSON: {text}"))
    }

    /// Reads one object from each line.
    #[track_caller]
    pub(crate) fn lines(text: &str) -> Vec<Json> {
        let objects: Vec<Json> = text.lines().map(Json::parse).collect();
        assert!(objects.iter().all(|o| matches!(o, Json::Object(_))), "not an object on each line: {text}");
        objects
    }

    /// A member of an object.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> &Json {
        let Json::Object(members) = self else { panic!("not an object: {self:?}") };
        let member = members.iter().find(|(key, _)| key == name);
        &member.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    /// Whether an object has a member.
    pub(crate) fn has(&self, name: &str) -> bool {
        matches!(self, Json::Object(members) if members.iter().any(|(key, _)| key == name))
    }

    /// A member that is text.
    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> &str {
        let Json::Text(text) = self.get(name) else { panic!("{name} is not text in {self:?}") };
        text
    }

    /// A member that is a number.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> f64 {
        let Json::Number(number) = self.get(name) else { panic!("{name} is not a number in {self:?}") };
        *number
    }
}

#[derive(Clone)]
struct Reader<'a>(Peekable<Chars<'a>>);

impl Reader<'_> {
    /// The next character after white space.
    fn next(&mut self) -> Option<char> {
        while self.0.next_if(|c| " \t\n\r".contains(*c)).is_some() {}
        self.0.next()
    }

    fn value(&mut self) -> Option<Json> {
        match self.next()? {
            '"' => self.text().map(Json::Text),
            '[' => self.items(']', Self::value).map(Json::List),
            '{' => self.items('}', Self::member).map(Json::Object),
            't' => self.word("rue", Json::Bool(true)),
            'f' => self.word("alse", Json::Bool(false)),
            'n' => self.word("ull", Json::Null),
            first => self.number(first),
        }
    }

    fn word(&mut self, rest: &str, value: Json) -> Option<Json> {
        rest.chars().all(|c| self.0.next() == Some(c)).then_some(value)
    }

    fn number(&mut self, first: char) -> Option<Json> {
        let mut digits = String::from(first);
        while let Some(c) = self.0.next_if(|c| c.is_ascii_digit() || "+-.eE".contains(*c)) {
            digits.push(c);
        }
        let whole = digits.trim_start_matches('-');
        let starts_well = whole.starts_with(|c: char| c.is_ascii_digit());
        let no_leading_zero =
            !(whole.starts_with('0') && whole[1..].starts_with(|c: char| c.is_ascii_digit()));
        digits.parse().ok().filter(|_| starts_well && no_leading_zero).map(Json::Number)
    }

    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.0.next()? {
                '"' => return Some(text),
                '\\' => text.push(match self.0.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => self.unicode()?,
                    c if "\"\\/".contains(c) => c,
                    _ => return None,
                }),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    /// What follows `\u`: a character, or the first half of one, with the second after another `\u`.
    fn unicode(&mut self) -> Option<char> {
        let mut units = vec![self.unit()?];
        if (0xd800..0xdc00).contains(&units[0]) {
            units.extend((self.0.next()? == '\\' && self.0.next()? == 'u').then(|| self.unit())?);
        }
        char::decode_utf16(units).next()?.ok()
    }

    fn unit(&mut self) -> Option<u16> {
        let digits: String = self.0.by_ref().take(4).collect();
        u16::from_str_radix(&digits, 16).ok()
    }

    fn member(&mut self) -> Option<(String, Json)> {
        let name = (self.next()? == '"').then(|| self.text())??;
        (self.next()? == ':').then(|| self.value())?.map(|value| (name, value))
    }

    /// Things with commas between them, up to `end`.
    fn items<T>(&mut self, end: char, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        let mut ahead = self.clone();
        if ahead.next()? == end {
            *self = ahead;
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            match self.next()? {
                ',' => {}
                c if c == end => return Some(items),
                _ => return None,
            }
        }
    }
}
