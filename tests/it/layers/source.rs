//! The source as text: its files, and which of them names which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of the library and of the programs.
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    /// The file of each module, by its path without `crate::`.
    modules: BTreeMap<Vec<String>, usize>,
}

/// One file.
pub(crate) struct Source {
    /// From src/: `client/mod.rs`.
    pub(crate) path: String,
    /// Its module: `client`, `upload` for src/client/upload.rs, and nothing for src/lib.rs.
    pub(crate) module: Vec<String>,
    /// The code alone, without comments and unit tests.
    pub(crate) code: String,
    /// What each imported name means, and each path that is named, from the root of the library.
    imports: BTreeMap<String, Vec<String>>,
    named: Vec<Vec<String>>,
}

/// One file names something that is in another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// What is named, from the root of the library.
    pub(crate) path: String,
}

impl Sources {
    /// All of src/ except unit tests in a file of their own, which may use what they like.
    pub(crate) fn read(src: &Path) -> Self {
        let mut texts = Vec::new();
        let mut todo = vec![src.to_path_buf()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let from_src = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
                    texts.push((from_src, fs::read_to_string(&path).unwrap()));
                }
            }
        }
        Self::of(texts)
    }

    pub(crate) fn of<T: Into<String>>(texts: impl IntoIterator<Item = (T, T)>) -> Self {
        let texts = texts.into_iter().map(|(path, text)| (path.into(), text.into()));
        let mut files: Vec<Source> = texts
            .filter(|(path, _)| !is_unit_test(path))
            .map(|(path, text)| Source::new(path, &text))
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let modules = files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        let mut sources = Self { files, modules };
        for at in 0..sources.files.len() {
            let (imports, named) = sources.paths_in(at);
            (sources.files[at].imports, sources.files[at].named) = (imports, named);
        }
        sources
    }

    /// Every arrow from a file to another, sorted.
    pub(crate) fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = Vec::new();
        for (from, file) in self.files.iter().enumerate() {
            for path in &file.named {
                if let Some(to) = self.file_of(path, 0).filter(|to| *to != from) {
                    arrows.push(Arrow { from, to, path: path.join("::") });
                }
            }
        }
        arrows.sort();
        arrows.dedup_by_key(|arrow| (arrow.from, arrow.to));
        arrows
    }

    /// The circles, each with the files that reach each other, in the order of their paths.
    pub(crate) fn circles(&self) -> Vec<Vec<usize>> {
        let count = self.files.len();
        let mut reaches = vec![vec![false; count]; count];
        self.arrows().iter().for_each(|arrow| reaches[arrow.from][arrow.to] = true);
        for by in 0..count {
            let onward = reaches[by].clone();
            for from in reaches.iter_mut().filter(|from| from[by]) {
                from.iter_mut().zip(&onward).for_each(|(reach, more)| *reach |= more);
            }
        }
        let in_circle_with = |a: usize| (0..count).filter(|b| reaches[a][*b] && reaches[*b][a]).collect();
        let circles: Vec<Vec<usize>> = (0..count).map(in_circle_with).collect();
        (0..count).filter(|at| circles[*at].first() == Some(at)).map(|at| circles[at].clone()).collect()
    }

    /// The imports of a file, and all paths that it names, from the root of the library.
    fn paths_in(&self, at: usize) -> (BTreeMap<String, Vec<String>>, Vec<Vec<String>>) {
        let file = &self.files[at];
        let mut imports = BTreeMap::new();
        let mut named = Vec::new();
        let (uses, others): (Vec<_>, Vec<_>) = paths(&file.code).into_iter().partition(|path| path.is_import);
        for path in uses.into_iter().chain(others) {
            let Some(full) = self.absolute(&[&file.module[..], &path.inside].concat(), &imports, &path.words)
            else {
                continue;
            };
            if path.is_import {
                imports.insert(path.known_as, full.clone());
            }
            named.push(full);
        }
        (imports, named)
    }

    /// A path as a file names it, from the root of the library; none if it leads to another crate.
    fn absolute(
        &self,
        module: &[String],
        imports: &BTreeMap<String, Vec<String>>,
        words: &[String],
    ) -> Option<Vec<String>> {
        let (first, rest) = words.split_first()?;
        let mut full = match first.as_str() {
            "crate" | "shareit" => vec![],
            "self" => module.to_vec(),
            "super" => {
                let ups = words.iter().take_while(|word| *word == "super").count();
                let above = module[..module.len().checked_sub(ups)?].to_vec();
                return Some([above, words[ups..].to_vec()].concat());
            }
            first => {
                let child = [module, &[first.to_owned()]].concat();
                if self.modules.contains_key(&child) { child } else { imports.get(first)?.clone() }
            }
        };
        full.extend_from_slice(rest);
        Some(full)
    }

    /// The file in which what is at this path is written: names that a module only passes on are followed.
    fn file_of(&self, path: &[String], steps: usize) -> Option<usize> {
        let depth = (0..=path.len()).rev().find(|depth| self.modules.contains_key(&path[..*depth]))?;
        let at = self.modules[&path[..depth]];
        let passed_on = path.get(depth).and_then(|name| self.files[at].imports.get(name));
        match passed_on {
            Some(further) if steps < 10 => {
                let further = [&further[..], &path[depth + 1..]].concat();
                self.file_of(&further, steps + 1)
            }
            _ => Some(at),
        }
    }
}

impl Source {
    fn new(path: String, text: &str) -> Self {
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        Self { module, code: code_of(text), path, imports: BTreeMap::new(), named: vec![] }
    }

    /// `store` for src/store.rs and all of src/store/, `bin` for the programs, none for src/lib.rs.
    pub(crate) fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }
}

fn is_unit_test(path: &str) -> bool {
    PathBuf::from(path).with_extension("").iter().any(|part| part == "tests")
}

/// Leaves out comments, and the unit tests, which are the last part of a file.
pub(crate) fn code_of(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines().take_while(|line| !begins_tests(line)) {
        if line.trim_start().starts_with("//") {
            continue;
        }
        // A comment at the end of a line begins after a blank; `//` in a URL does not.
        line.split_inclusive(' ')
            .take_while(|word| !word.starts_with("//"))
            .for_each(|word| kept.push_str(word));
        kept.push('\n');
    }
    kept
}

fn begins_tests(line: &str) -> bool {
    line.starts_with("mod tests {") || (line.starts_with("pub(") && line.ends_with(" mod tests {"))
}

/// A path as it is written, of two words or more.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) words: Vec<String>,
    /// The modules within the file that it is in.
    inside: Vec<String>,
    is_import: bool,
    /// The name that an import gives it.
    known_as: String,
}

/// Every path in a text, trees of `use` taken apart.
pub(crate) fn paths(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    // The modules in the text that are open, each with how many braces were open before.
    let (mut open, mut inside): (usize, Vec<(usize, &str)>) = (0, vec![]);
    let mut at = 0;
    while at < tokens.len() {
        let before = &tokens[at.saturating_sub(2)..at];
        // `pub(in crate::x)` names the place from which something may be used.
        let in_scope = before == ["(", "in"];
        if is_word(tokens[at]) && tokens.get(at + 1) == Some(&"::") && !in_scope {
            let first = found.len();
            at = read_tree(&tokens, at, &[], before.last() == Some(&"use"), &mut found);
            let inside = || inside.iter().map(|(_, name)| (*name).to_owned()).collect();
            found[first..].iter_mut().for_each(|path| path.inside = inside());
            continue;
        }
        match (tokens[at], before) {
            ("{", ["mod", name]) => inside.push((open, *name)),
            ("}", _) if inside.last().is_some_and(|(before, _)| before + 1 == open) => drop(inside.pop()),
            _ => {}
        }
        match tokens[at] {
            "{" => open += 1,
            "}" => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads a path, or the list in braces after `prefix`, from `at` on; returns where it ends.
fn read_tree(
    tokens: &[&str],
    mut at: usize,
    prefix: &[String],
    is_import: bool,
    found: &mut Vec<Named>,
) -> usize {
    let mut words = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = if tokens[at] == "," {
                        at + 1
                    } else {
                        read_tree(tokens, at, &words, is_import, found)
                    };
                }
                return at + 1;
            }
            Some(word) if is_word(word) => words.push((*word).to_owned()),
            // A list of types, or a glob: what is before it has been named.
            _ => break,
        }
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    if words.last().is_some_and(|last| last == "self") && words.len() > 1 {
        words.pop();
    }
    let mut known_as = words.last().cloned().unwrap_or_default();
    if is_import && tokens.get(at) == Some(&"as") {
        known_as = tokens[at + 1].to_owned();
        at += 2;
    }
    found.push(Named { words, inside: vec![], is_import, known_as });
    // The end of a glob, or of what is no path.
    let ends = |token: &&str| !is_word(token) && !["{", ",", "}"].contains(token);
    if tokens.get(at).is_some_and(ends) { at + 1 } else { at }
}

/// Words, `::` and single characters, without blanks and what is in quotes.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => quoted(rest),
            // A character, and not a lifetime.
            '\'' if rest[1..].starts_with('\\') => rest[2..].find('\'').map_or(rest.len(), |end| end + 3),
            '\'' if rest.chars().nth(2) == Some('\'') => {
                rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at)
            }
            c if is_part_of_word(c) => rest.find(|c| !is_part_of_word(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let token = &rest[..length];
        if !token.starts_with('"') && !token.trim().is_empty() {
            tokens.push(token);
        }
        rest = &rest[length..];
    }
    tokens
}

/// How long a text in quotes is, with them.
fn quoted(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(token: &str) -> bool {
    token.starts_with(is_part_of_word)
}

pub(crate) fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
