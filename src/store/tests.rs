use std::path::PathBuf;

use super::index::Waiting;
use super::{OsDisk, Store, StoreError};
use crate::name::{FilePath, FolderPath, ServerName, UserName};
use crate::version::Version;
use crate::wire::Entry;

/// An empty store in a folder of its own, and a user who has logged in.
fn store(name: &str) -> (PathBuf, Store, UserName) {
    let root = std::env::temp_dir().join(format!("shareit-{name}-{}", std::process::id()));
    let server = ServerName::parse("Server1").unwrap();
    let user = UserName::parse("Aditi").unwrap();
    let store = Store::open(OsDisk::default(), &root, &server, 0, &mut |_| ()).unwrap();
    store.make_user(&user).unwrap();
    (root, store, user)
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

#[test]
fn what_is_behind_a_link_is_elsewhere_wherever_it_leads() {
    let (root, store, user) = store("link");
    let folder = store.files.places.user(&user);
    std::fs::create_dir_all(folder.join("in/deep")).unwrap();
    std::fs::create_dir_all(root.join("other/deep")).unwrap();
    std::os::unix::fs::symlink(root.join("other"), folder.join("linked")).unwrap();
    std::os::unix::fs::symlink("deep", folder.join("in/near")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", folder.join("dangling")).unwrap();
    for (name, elsewhere) in [
        ("f", false),
        ("in/deep/f", false),
        ("in/deep/and/new/f", false),
        ("new/and/deep/f", false),
        ("linked/f", true),
        ("linked/deep/f", true),
        ("linked/new/f", true),
        ("in/near/f", true),
        ("dangling/f", true),
    ] {
        assert_eq!(store.files.is_elsewhere(&user, &path(name)).unwrap(), elsewhere, "{name}");
    }
    // The user's own folder may be a link: a listing begins after it.
    std::fs::rename(&folder, root.join("moved")).unwrap();
    std::os::unix::fs::symlink(root.join("moved"), &folder).unwrap();
    assert!(!store.files.is_elsewhere(&user, &path("in/deep/f")).unwrap());
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_staged_name_in_whose_way_something_is_does_not_keep_the_others_from_being_listed() {
    let (root, store, user) = store("list");
    std::fs::write(store.files.places.user(&user).join("a"), "somebody's").unwrap();
    let part = store.part(&user);
    for name in ["a/b", "c"] {
        let version = Version { generation: 1, upload: [0; 16] };
        let file = store.files.new_file(&user);
        let waiting = Waiting { piece: 1, version, key: [0; 16], connection: None, file, synced: true };
        part.lock().unwrap().index.add(path(name), waiting);
    }
    assert!(store.files.is_elsewhere(&user, &path("a/b")).is_err());
    let mut listed = Vec::new();
    let mut sink = |entry| {
        listed.push(entry);
        Ok::<_, StoreError>(())
    };
    store.list(&user, &FolderPath::root(), true, &mut sink).unwrap();
    assert_eq!(listed, [Entry::Damaged { path: path("c"), piece: 1 }]);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_connection_ends_with_a_panic_too() {
    let (root, store, user) = store("panic");
    let connection = store.connect();
    store.part(&user).lock().unwrap().index.open.insert(connection);
    let session = || {
        let _ending = store.ends(user.clone(), connection);
        panic!("on purpose");
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(session)).unwrap_err();
    assert!(!store.connections.is_live(connection));
    assert!(!store.part(&user).lock().unwrap().index.open.contains(&connection));
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_look_into_folders_that_are_not_there_leaves_nothing_behind() {
    let (root, store, user) = store("look");
    let remembered = || store.part(&user).lock().unwrap().index.directories();
    store.look(&user, &FilePath::parse("a").unwrap()).unwrap();
    let before = remembered();
    for number in 0..100 {
        let path = FilePath::parse(&format!("{number}/which/is/not/there/a")).unwrap();
        assert_eq!(store.look(&user, &path).unwrap().pieces, []);
    }
    assert_eq!(remembered(), before);
    std::fs::remove_dir_all(root).unwrap();
}
