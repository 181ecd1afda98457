//! The slides of the course: their figures are made from the pictures of docs/, and show all of their text; what the
//! deck quotes is in the chapters.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::disk::{TempFolder, tree};
use crate::common::process::run;
use crate::common::python;
use crate::documents::links::links;
use crate::explore::browser::Browser;

/// Pixels of a slide below its upper margin.
const HEIGHT: usize = 720 - 34;

fn slides() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("course/slides")
}

/// A slide without its comments, which only the teacher sees.
struct Slide {
    text: String,
}

impl Slide {
    fn all() -> Vec<Self> {
        let deck = fs::read_to_string(slides().join("deck.md")).unwrap();
        deck.split("\n---\n").map(|text| Self { text: without_comments(text) }).collect()
    }

    fn heading(&self) -> &str {
        self.lines().next().unwrap().trim_start_matches('#').trim()
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim().is_empty())
    }

    /// What is read of it: no targets of links, and what is said of a figure is in the figure.
    fn words(&self) -> String {
        let lines = self.lines().filter(|line| !line.starts_with("!["));
        let text = lines.collect::<Vec<_>>().join("\n");
        links(&text).into_iter().fold(text.clone(), |text, (_, target)| text.replace(target, ""))
    }

    /// Lines of what is printed or typed.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.lines().filter_map(|line| line.strip_prefix("    "))
    }

    /// What is said of each figure, and its file.
    fn figures(&self) -> Vec<(&str, &str)> {
        let figures = self.lines().filter_map(|line| line.strip_prefix("!["));
        figures.map(|line| line.strip_suffix(')').unwrap().split_once("](").unwrap()).collect()
    }

    fn documents(&self) -> impl Iterator<Item = &str> {
        links(&self.text).into_iter().map(|(_, target)| target).filter(|target| target.ends_with(".md"))
    }
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once("-->").unwrap().1)
}

/// Runs of blanks as one.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Numbers of two digits or more, as they are written.
fn numbers(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ','));
    words.map(|word| word.trim_matches(['.', ','])).filter(|word| word.len() > 1).collect()
}

/// What is between two marks, the first of its kind.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).unwrap().1.split_once(to).unwrap().0
}

/// The committed figures, by the name that the deck has for them.
fn figures() -> Vec<(String, String)> {
    let files = tree(&slides().join("figures")).into_iter();
    files.map(|(name, bytes)| (format!("figures/{name}"), String::from_utf8(bytes).unwrap())).collect()
}

#[test]
fn the_figures_are_what_the_script_makes_of_the_pictures() {
    let Some(mut python) = python() else { return };
    let made = TempFolder::new();
    run(python.arg(slides().join("make-figures.py")).arg(made.path()), "").succeeds();
    let is_same = tree(made.path()) == tree(&slides().join("figures"));
    assert!(is_same, "course/slides/figures is not what course/slides/make-figures.py makes: run it");
}

#[test]
fn every_figure_is_on_a_slide_that_says_what_it_shows() {
    let deck = Slide::all();
    let mut used = BTreeSet::new();
    for slide in &deck {
        for (words, file) in slide.figures() {
            let figure = fs::read_to_string(slides().join(file)).unwrap();
            assert_eq!(words, between(&figure, "<title id=\"title\">", "</title>"), "{file}");
            assert!(!between(&figure, "<desc id=\"desc\">", "</desc>").is_empty(), "{file}");
            used.insert(file.to_owned());
        }
    }
    assert_eq!(used, figures().into_iter().map(|(name, _)| name).collect());
}

#[test]
fn every_slide_fits() {
    for slide in Slide::all() {
        assert!(slide.heading().len() <= 58, "{:?} is too long for a line", slide.heading());
        let height = |line: &str| match line.strip_prefix("![") {
            Some(figure) => {
                let figure =
                    fs::read_to_string(slides().join(figure.split_once("](").unwrap().1.trim_matches(')')));
                between(&figure.unwrap(), " height=\"", "\"").parse::<usize>().unwrap() + 12
            }
            None if line.starts_with("    ") => 38,
            None => line.chars().count().div_ceil(75) * 45 + 12,
        };
        for line in slide.code() {
            assert!(line.chars().count() <= 68, "{line:?} is too long for a line");
        }
        let all: usize = 64 + slide.lines().skip(1).map(height).sum::<usize>();
        assert!(all <= HEIGHT, "{:?} has {all} pixels", slide.heading());
    }
}

#[test]
fn what_the_slides_quote_is_in_the_documents_that_they_name() {
    let mut documents = String::new();
    let mut chapters = Vec::new();
    for slide in Slide::all() {
        for document in slide.documents() {
            let text = fs::read_to_string(slides().join(document)).unwrap();
            if document.starts_with("../chapters/") {
                chapters.push(document.to_owned());
                documents.clear();
            }
            documents += &(plain(&text) + " ");
        }
        // Each chapter's questions begin with a slide that names it.
        if chapters.is_empty() {
            continue;
        }
        let known = numbers(&documents);
        for number in numbers(&slide.words()) {
            assert!(
                known.contains(number),
                "{:?}: {number} is not in {:?}",
                slide.heading(),
                chapters.last()
            );
        }
        let quoted = slide.text.split('`').skip(1).step_by(2).chain(slide.code());
        for quoted in quoted {
            let is_there = documents.contains(&plain(quoted));
            assert!(is_there, "{:?}: {quoted:?} is not in {:?}", slide.heading(), chapters.last());
        }
    }
    let files = fs::read_dir(slides().join("../chapters")).unwrap();
    let mut expected: Vec<String> =
        files.map(|file| format!("../chapters/{}", file.unwrap().file_name().to_str().unwrap())).collect();
    expected.sort_unstable();
    assert_eq!(chapters, expected);
}

#[test]
fn every_figure_shows_its_text_whole_and_large_enough() {
    let Some(mut browser) = Browser::launch() else {
        eprintln!("not tested: there is no Chromium");
        return;
    };
    for (name, _) in figures() {
        browser.open(&slides().join(&name));
        assert_eq!(browser.text(include_str!("slides/checks.js")), "", "{name}");
    }
}
