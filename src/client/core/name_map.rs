//! A map from names to values, packed: there may be a million names.

use crate::name::{FilePath, FolderPath, MAX_PATH};

/// Most names in a block.
const BLOCK: usize = 60;
const _: () = assert!(BLOCK * MAX_PATH <= u16::MAX as usize);

/// Sorted names, each with a value. A name takes little more than the bytes of its text and its value: two for its end,
/// and its part of what its block takes.
#[derive(Debug)]
pub struct NameMap<V> {
    /// None is empty. They are sorted, and so are the names in each.
    blocks: Vec<Block<V>>,
    len: usize,
}

/// Sorted names.
pub type Names = NameMap<()>;

#[derive(Debug)]
struct Block<V> {
    /// The names, one after another.
    text: String,
    /// Where each ends.
    ends: Vec<u16>,
    values: Vec<V>,
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }
}

impl<V> NameMap<V> {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = FilePath> {
        self.entries().map(|(name, _)| name)
    }

    /// The names with their values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (FilePath, &V)> {
        self.blocks.iter().flat_map(|block| {
            let values = block.values.iter().enumerate();
            values.filter_map(|(at, value)| Some((parse(block.name(at))?, value)))
        })
    }

    /// Whether a name is among them.
    pub fn contains(&self, name: &FilePath) -> bool {
        let name = name.as_str();
        let at = self.blocks.partition_point(|block| block.name(0) <= name);
        at.checked_sub(1).is_some_and(|at| self.blocks[at].find(name).is_ok())
    }

    /// Whether one of the names is in this folder, or below it.
    pub(crate) fn any_below(&self, folder: &FolderPath) -> bool {
        let before = format!("{}/", folder.as_str());
        let at = self.blocks.partition_point(|block| block.name(0) < before.as_str()).saturating_sub(1);
        let near = self.blocks.iter().skip(at).take(2);
        let mut names = near.flat_map(|block| (0..block.ends.len()).map(|at| block.name(at)));
        names.any(|name| name.starts_with(&before))
    }

    /// The names, up to so many at a time.
    pub fn batches(&self, most: usize) -> impl Iterator<Item = Vec<FilePath>> {
        let mut names = self.iter();
        let next =
            move || Some(names.by_ref().take(most).collect()).filter(|batch: &Vec<_>| !batch.is_empty());
        std::iter::from_fn(next)
    }

    /// The value of a name, which is added if it is new.
    pub(crate) fn entry(&mut self, name: &FilePath) -> &mut V
    where
        V: Default,
    {
        let name = name.as_str();
        let mut at = self.blocks.partition_point(|block| block.name(0) <= name).saturating_sub(1);
        if self.blocks.is_empty() {
            self.blocks.push(Block::default());
        }
        let place = match self.blocks[at].find(name) {
            Ok(place) => place,
            Err(mut place) => {
                self.len += 1;
                if self.blocks[at].ends.len() == BLOCK {
                    // Most come sorted, and then each block is filled.
                    let kept = if place == BLOCK { BLOCK } else { BLOCK / 2 };
                    let rest = self.blocks[at].split_off(kept);
                    self.blocks.insert(at + 1, rest);
                    if place >= kept {
                        (at, place) = (at + 1, place - kept);
                    }
                }
                self.blocks[at].insert(place, name);
                place
            }
        };
        &mut self.blocks[at].values[place]
    }

    /// Keeps only those names whose value is to be kept.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool)
    where
        V: Default,
    {
        for (name, mut value) in std::mem::take(self).into_entries() {
            if keep(&mut value) {
                *self.entry(&name) = value;
            }
        }
    }

    /// The names with their values. What has been returned takes no more memory.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (FilePath, V)> {
        self.blocks.into_iter().flat_map(|block| {
            let names: Vec<_> = (0..block.ends.len()).map(|at| parse(block.name(at))).collect();
            names.into_iter().zip(block.values).filter_map(|(name, value)| Some((name?, value)))
        })
    }
}

impl FromIterator<FilePath> for Names {
    fn from_iter<T: IntoIterator<Item = FilePath>>(paths: T) -> Self {
        let mut names = Names::default();
        names.extend(paths);
        names
    }
}

impl Extend<FilePath> for Names {
    fn extend<T: IntoIterator<Item = FilePath>>(&mut self, paths: T) {
        paths.into_iter().for_each(|path| *self.entry(&path) = ());
    }
}

impl<V> Default for Block<V> {
    fn default() -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(BLOCK), values: Vec::with_capacity(BLOCK) }
    }
}

impl<V> Block<V> {
    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| usize::from(self.ends[before]))
    }

    fn name(&self, at: usize) -> &str {
        &self.text[self.start(at)..usize::from(self.ends[at])]
    }

    /// Where a name is, or else where it belongs.
    fn find(&self, name: &str) -> Result<usize, usize> {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    fn insert(&mut self, at: usize, name: &str)
    where
        V: Default,
    {
        let start = self.start(at);
        self.text.insert_str(start, name);
        // A block has less than 64 KiB of text.
        self.ends[at..].iter_mut().for_each(|end| *end += name.len() as u16);
        self.ends.insert(at, (start + name.len()) as u16);
        self.values.insert(at, V::default());
    }

    fn split_off(&mut self, at: usize) -> Self {
        let start = self.start(at);
        let mut rest = Self { text: self.text.split_off(start), ..Self::default() };
        rest.ends.extend(self.ends.drain(at..).map(|end| end - start as u16));
        rest.values.extend(self.values.drain(at..));
        self.text.shrink_to_fit();
        rest
    }
}

/// It was a name when it was added.
fn parse(name: &str) -> Option<FilePath> {
    FilePath::parse_any(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn path(name: &str) -> FilePath {
        FilePath::parse_any(name).unwrap()
    }

    #[test]
    fn it_is_a_sorted_map_in_whatever_order_names_come() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 40
        };
        for range in [10, 100, 1000, 100_000] {
            let (mut map, mut known) = (NameMap::<u64>::default(), BTreeMap::new());
            for number in 0..3000 {
                let name = if number < 500 { number } else { random() % range };
                let path = path(&format!("{}{name}", "d/".repeat(name as usize % 7)));
                *map.entry(&path) += 1;
                *known.entry(path).or_insert(0) += 1;
            }
            assert_eq!(map.len(), known.len());
            assert!(map.iter().eq(known.keys().cloned()), "{range}");
            assert!(known.keys().all(|name| map.contains(name)));
            assert!(!map.contains(&path("!")) && !map.contains(&path("~")));
            let below = |name: &str| map.any_below(&FolderPath::parse(name).unwrap());
            assert!(known.keys().all(|name| name.folder().is_root() || below(name.folder().as_str())));
            assert!(!below("c") && !below("d/e") && !below("e"));
            map.retain(|count| *count > 1);
            known.retain(|_, count| *count > 1);
            assert_eq!(map.len(), known.len());
            assert!(map.into_entries().eq(known), "{range}");
        }
    }

    #[test]
    fn names_of_the_greatest_length_fit() {
        let long = |number: usize| {
            let rest = vec!["x".repeat(250); 3].join("/");
            let name = format!("{number:0>250}/{rest}/{}", "y".repeat(MAX_PATH - 251 - rest.len() - 1));
            assert_eq!(name.len(), MAX_PATH);
            path(&name)
        };
        let names: Names = (0..1000).rev().map(long).collect();
        assert!(names.iter().eq((0..1000).map(long)));
    }

    #[test]
    fn batches_are_all_names_in_order() {
        let names: Names = (0..200).map(|number| path(&format!("{number:03}"))).collect();
        let batches: Vec<_> = names.batches(90).collect();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [90, 90, 20]);
        assert!(batches.concat().into_iter().eq(names.iter()));
        assert_eq!(Names::default().batches(90).count(), 0);
    }

    #[test]
    fn names_that_come_sorted_fill_their_blocks() {
        let names: Names = (0..6000).map(|number| path(&format!("{number:06}"))).collect();
        assert_eq!(names.blocks.len(), 6000 / BLOCK);
    }
}
