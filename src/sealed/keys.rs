//! Keys: one master key, one label for each purpose, one wrapped key for each upload, and the seal.

use std::fmt;

use super::header::{Header, WrappedKey};
use crate::name::UserName;
use crate::primitives::{
    Bytes32, Key, Keystream, constant_time_equal, hkdf_sha256, hmac_sha256, hmac_verify, pbkdf2_sha256,
};

/// PBKDF2 iterations for the master key, as recommended by OWASP's Password Storage Cheat Sheet for
/// PBKDF2-HMAC-SHA-256.
pub const MASTER_ITERATIONS: u32 = 600_000;

/// The salt of the master key begins with this; no login's salt does.
pub const MASTER_SALT: &[u8] = b"ShareIt v1 master key";
const HKDF_SALT: &[u8] = b"ShareIt v1";
/// What comes before a header under the seal key where nothing but the header is sealed. No header begins with it.
const OPENING: &[u8] = b"opening";
const SEAL_LABEL: &[u8] = b"seal";
const WRAP_LABEL: &[u8] = b"wrap";
const CHECK_LABEL: &[u8] = b"key check";

/// The random key of one upload, under which its pieces are encrypted.
#[derive(Clone)]
pub struct FileKey(pub(super) Key);

impl FileKey {
    /// Takes 32 random bytes, which must never have been used as a file key before.
    pub fn new(random: Bytes32) -> Self {
        Self(random.into())
    }

    /// Whether both are the same key: two pieces under it are then of one upload.
    pub fn is(&self, other: &Self) -> bool {
        constant_time_equal(&self.0, &other.0)
    }
}

/// The user's keys, derived from the master key, which is not kept itself.
#[derive(Clone)]
pub struct MasterKey {
    seal: Key,
    wrap: Key,
    check: [u8; 16],
}

impl MasterKey {
    /// Derives the keys from the user's password, by PBKDF2 with a salt bound to the user's name. Takes about 0.1 s.
    pub fn from_password(user: &UserName, password: &str) -> Self {
        let salt = [MASTER_SALT, b"\0", user.as_str().as_bytes()].concat();
        Self::from_key(&pbkdf2_sha256(password.as_bytes(), &salt, MASTER_ITERATIONS))
    }

    /// Derives the keys from 32 random bytes, those of the `Key` line of a .conf.
    pub fn from_key(master: &Bytes32) -> Self {
        let derive = |label: &[u8]| hkdf_sha256(HKDF_SALT, master, &[label]);
        let mut check = [0; 16];
        check.copy_from_slice(&derive(CHECK_LABEL)[..16]);
        Self { seal: derive(SEAL_LABEL), wrap: derive(WRAP_LABEL), check }
    }

    /// The value that says under which key a header was made.
    pub fn check_value(&self) -> [u8; 16] {
        self.check
    }

    /// Encrypts a file key for a header. `block` is the counter block; it must be random, and must never be used
    /// twice.
    pub fn wrap(&self, key: &FileKey, block: [u8; 16]) -> WrappedKey {
        let mut bytes = *key.0;
        Keystream::new(&self.wrap, &block).apply(&mut bytes);
        WrappedKey { check: self.check, block, bytes }
    }

    /// The file key of a claim that was [verified](MasterKey::verify). Wrapping is plain CTR, which the seal
    /// authenticates, so never unwrap a key that has not been verified.
    pub fn unwrap(&self, claim: &VerifiedClaim<'_>) -> FileKey {
        let WrappedKey { block, mut bytes, .. } = claim.0.key;
        Keystream::new(&self.wrap, &block).apply(&mut bytes);
        FileKey(bytes.into())
    }

    /// The seal of a piece: HMAC-SHA-256 over its encoded header and its table's root. The header contains its lengths
    /// and the root's is fixed, so the border between them is bound.
    pub fn seal(&self, header: &[u8], root: &Bytes32) -> Bytes32 {
        hmac_sha256(&*self.seal, &[header, root])
    }

    /// Checks that a claim was sealed by this user's client.
    ///
    /// # Errors
    /// If it was not: [`Distrust::OtherKey`] if it says that it was made under another key, [`Distrust::Damaged`]
    /// otherwise.
    pub fn verify<'a>(&self, claim: &'a Claim) -> Result<VerifiedClaim<'a>, Distrust> {
        if hmac_verify(&*self.seal, &[&claim.header.encode(), &claim.root], &claim.seal) {
            Ok(VerifiedClaim(&claim.header))
        } else {
            Err(self.distrust(&claim.header))
        }
    }

    /// The seal over a header alone, with which a writer begins a piece that may be cut off: HMAC-SHA-256 over a word
    /// and the encoded header.
    pub fn seal_opening(&self, header: &[u8]) -> Bytes32 {
        hmac_sha256(&*self.seal, &[OPENING, header])
    }

    /// Checks that a piece was begun by this user's client.
    ///
    /// # Errors
    /// As for [`MasterKey::verify`].
    pub fn verify_opening<'a>(&self, opening: &'a Opening) -> Result<VerifiedClaim<'a>, Distrust> {
        match hmac_verify(&*self.seal, &[OPENING, &opening.header.encode()], &opening.seal) {
            true => Ok(VerifiedClaim(&opening.header)),
            false => Err(self.distrust(&opening.header)),
        }
    }

    /// Why the seal of a header is not good.
    fn distrust(&self, header: &Header) -> Distrust {
        if header.key.check == self.check { Distrust::Damaged } else { Distrust::OtherKey }
    }
}

/// What a server says that it holds of a piece: the header, the root of its table, and the seal over both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The header.
    pub header: Header,
    /// SHA-256 of the table.
    pub root: Bytes32,
    /// The seal.
    pub seal: Bytes32,
}

/// What a server says that it holds of a piece that did not arrive completely: the header, and the seal over it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The header.
    pub header: Header,
    /// The seal.
    pub seal: Bytes32,
}

/// A header with a good seal, that of a claim or of an opening.
pub struct VerifiedClaim<'a>(&'a Header);

/// Why a claim is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// Made under another password or `Key`.
    OtherKey,
    /// The header, root or seal is not what the client wrote.
    Damaged,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Distrust::OtherKey => "encrypted under another key",
            Distrust::Damaged => "damaged header or seal",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::tests::example;
    use super::*;

    fn claim(master: &MasterKey) -> Claim {
        let key = FileKey::new([9; 32]);
        let mut header = example();
        header.key = master.wrap(&key, header.key.block);
        let root = [5; 32];
        Claim { seal: master.seal(&header.encode(), &root), header, root }
    }

    #[test]
    fn the_file_key_comes_back_under_the_same_master_key() {
        let master = MasterKey::from_key(&[7; 32]);
        let claim = claim(&master);
        let verified = master.verify(&claim).ok().unwrap();
        assert_eq!(*master.unwrap(&verified).0, [9; 32]);
        assert_ne!(claim.header.key.bytes, [9; 32]);
    }

    #[test]
    fn another_key_is_told_from_damage() {
        let master = MasterKey::from_key(&[7; 32]);
        let good = claim(&master);
        assert_eq!(MasterKey::from_key(&[8; 32]).verify(&good).err(), Some(Distrust::OtherKey));
        let mut bad = good.clone();
        bad.header.file_size -= 1;
        assert_eq!(master.verify(&bad).err(), Some(Distrust::Damaged));
        let mut bad = good.clone();
        bad.root[31] ^= 1;
        assert_eq!(master.verify(&bad).err(), Some(Distrust::Damaged));
    }

    #[test]
    fn the_same_password_gives_each_user_another_key() {
        let user = |name| UserName::parse(name).unwrap();
        let aditi = MasterKey::from_password(&user("Aditi"), "p");
        assert_ne!(aditi.check, MasterKey::from_password(&user("Ritu"), "p").check);
        assert_eq!(aditi.check, MasterKey::from_password(&user("Aditi"), "p").check);
    }
}
