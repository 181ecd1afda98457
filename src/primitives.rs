//! The cryptographic primitives, each with the document that defines it. No other module names the
//! crates that provide them.
//!
//! A caller must never use one key for two purposes, use one [`Keystream`] key and block twice for different
//! data, or decrypt what has not been verified.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use polyval::{BLOCK_SIZE, Block, Polyval, universal_hash::UniversalHash};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// 256 bits: a key, a hash or a MAC.
pub type Bytes32 = [u8; 32];

/// A 256-bit key, wiped when dropped. Copies of its bytes are not wiped.
pub type Key = Zeroizing<Bytes32>;

/// SHA-256 (FIPS 180-4) of a message.
pub fn sha256(message: &[u8]) -> Bytes32 {
    Sha256::digest(message).into()
}

/// SHA-256 of a message that arrives in parts.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes the next part.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The hash of all parts.
    pub fn finish(self) -> Bytes32 {
        self.0.finalize().into()
    }
}

/// How many bytes go to one of a [`PayloadMac`]'s two hashes before it is the other's turn: four blocks, which
/// POLYVAL processes together.
const STRIPE: usize = 4 * BLOCK_SIZE;
const PAIR: usize = 2 * STRIPE;

/// A MAC of a payload that arrives in parts. It is for bytes in transit only; stored bytes have SHA-256.
///
/// It is a Wegman-Carter MAC. POLYVAL (RFC 8452, section 3), a polynomial over GF(2^128), hashes the bytes at several
/// times the speed of SHA-256. HMAC derives its keys, new ones for each payload, and hides its results:
///
/// ```text
/// hash keys = HMAC-SHA-256(key, "hash" || number), 16 bytes for each of the two
/// even, odd = the stripes of 64 bytes of the payload in turn, the last pair of stripes padded with zeros
/// tag       = HMAC-SHA-256(key, "tag" || number || length || POLYVAL(key 1, even) || POLYVAL(key 2, odd))
/// ```
///
/// Number and length are 64 bits, big-endian. There are two hashes because each step of a hash must wait for the step
/// before it: in the meantime the processor works on the other one, which makes the pair half as fast again as one.
///
/// Why this is enough:
///
/// - Payloads of different lengths never share a tag, because HMAC covers the length.
/// - Two payloads of the same length differ in their even or in their odd stripes. If these have n blocks, they have the
///   same hash under at most n of the 2^128 keys, because a polynomial of degree n has at most n roots.
/// - An eavesdropper learns nothing about the hash keys. Each key hashes one payload, and the hash is sent only under
///   HMAC; with a payload and its bare hash, the key could be computed.
///
/// So an attacker who changes a payload of 2^40 bytes, longer than any piece, goes unnoticed with a probability of at
/// most 2^35 in 2^128, which is 2^-93, and has one attempt per number. Anything better would break HMAC-SHA-256.
///
/// A caller must never use a number twice with one key, or share a key among more than two parties, because anyone who
/// can check a tag can also make one.
pub struct PayloadMac {
    even: Polyval,
    odd: Polyval,
    /// The bytes that do not fill two stripes yet, followed by zeros.
    pair: [u8; PAIR],
    /// Bytes so far.
    length: u64,
    /// HMAC that already covers the label and the number.
    tag: Hmac<Sha256>,
}

impl PayloadMac {
    /// Takes the key for a session's payloads. `number` must never be used twice with the same key.
    pub fn new(key: &Bytes32, number: u64) -> Self {
        let number = number.to_be_bytes();
        let hash_keys = Zeroizing::new(hmac_sha256(key, &[b"hash", &number]));
        let (keys, _) = Block::slice_as_chunks(&*hash_keys);
        Self {
            even: Polyval::new(&keys[0]),
            odd: Polyval::new(&keys[1]),
            pair: [0; PAIR],
            length: 0,
            tag: hmac(key, &[b"tag", &number]),
        }
    }

    /// Takes the next part.
    pub fn update(&mut self, part: &[u8]) {
        let filled = (self.length % PAIR as u64) as usize;
        self.length += part.len() as u64;
        // First complete a pair that was begun.
        let missing = if filled == 0 { 0 } else { PAIR - filled };
        let (front, part) = part.split_at(missing.min(part.len()));
        self.pair[filled..filled + front.len()].copy_from_slice(front);
        if missing > 0 && front.len() == missing {
            self.end_pair();
        }
        let (pairs, rest) = part.as_chunks();
        pairs.iter().for_each(|pair| self.hash(pair));
        self.pair[..rest.len()].copy_from_slice(rest);
    }

    fn end_pair(&mut self) {
        let pair = std::mem::replace(&mut self.pair, [0; PAIR]);
        self.hash(&pair);
    }

    fn hash(&mut self, pair: &[u8; PAIR]) {
        let (blocks, _) = Block::slice_as_chunks(pair);
        let (even, odd) = blocks.split_at(STRIPE / BLOCK_SIZE);
        self.even.update(even);
        self.odd.update(odd);
    }

    /// The tag of all parts.
    pub fn finish(self) -> Bytes32 {
        self.ended().finalize().into_bytes().into()
    }

    /// Whether this is the tag of all parts, in a time that does not depend on where it differs.
    pub fn verify(self, tag: &Bytes32) -> bool {
        self.ended().verify_slice(tag).is_ok()
    }

    fn ended(mut self) -> Hmac<Sha256> {
        if !self.length.is_multiple_of(PAIR as u64) {
            self.end_pair();
        }
        self.tag.update(&self.length.to_be_bytes());
        self.tag.update(&self.even.finalize());
        self.tag.update(&self.odd.finalize());
        self.tag
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any key length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// HMAC-SHA-256 (RFC 2104) over the concatenation of `parts`.
///
/// Concatenation does not bind the borders between parts: a caller with parts of variable length must put their
/// lengths first.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Bytes32 {
    hmac(key, parts).finalize().into_bytes().into()
}

/// Whether `tag` is the HMAC-SHA-256 of `parts`, in a time that does not depend on where they differ.
pub fn hmac_verify(key: &[u8], parts: &[&[u8]], tag: &Bytes32) -> bool {
    hmac(key, parts).verify_slice(tag).is_ok()
}

/// Whether two values are equal, in a time that does not depend on where they differ.
pub fn constant_time_equal(a: &Bytes32, b: &Bytes32) -> bool {
    a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// PBKDF2-HMAC-SHA-256 (RFC 8018) with an output of one block.
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).into()
}

/// HKDF-SHA-256 (RFC 5869), extract and expand, with an output of one block.
pub fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Key {
    let mut out = Zeroizing::new([0; 32]);
    #[expect(clippy::expect_used, reason = "32 bytes are far below HKDF's limit of 255 blocks")]
    Hkdf::<Sha256>::new(Some(salt), secret).expand_multi_info(info, &mut *out).expect("one block");
    out
}

/// AES-256 in counter mode (NIST SP 800-38A); the counter block counts up as a 128-bit big-endian number.
pub struct Keystream(Ctr128BE<Aes256>);

impl Keystream {
    /// The keystream of a key from a first counter block.
    pub fn new(key: &Bytes32, first_block: &[u8; 16]) -> Self {
        Self(Ctr128BE::<Aes256>::new(key.into(), first_block.into()))
    }

    /// Encrypts or decrypts in place, and advances by as many bytes.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.0.apply_keystream(data);
    }
}

/// Random bytes from the operating system.
///
/// # Errors
/// The error of the operating system if it has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    fn hex32(text: &str) -> Bytes32 {
        hex(text).try_into().unwrap()
    }

    #[test]
    fn hmac_gives_the_vectors_of_rfc_4231() {
        let cases: [(Vec<u8>, Vec<u8>, &str); 4] = [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in cases {
            let (front, back) = message.split_at(message.len() / 2);
            assert_eq!(hmac_sha256(&key, &[front, back]), hex32(expected));
            assert!(hmac_verify(&key, &[&message], &hex32(expected)));
            assert!(!hmac_verify(&key, &[&message, b"x"], &hex32(expected)));
        }
    }

    #[test]
    fn the_keystream_gives_the_ctr_aes256_vector_of_sp_800_38a() {
        let key = hex32("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let block = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
        let plain = hex(concat!(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
        ));
        let cipher = hex(concat!(
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
            "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
        ));
        let mut data = plain.clone();
        Keystream::new(&key, &block).apply(&mut data);
        assert_eq!(data, cipher);
        // In two steps, as a chunk that arrives bit by bit.
        let mut stream = Keystream::new(&key, &block);
        let (first, second) = data.split_at_mut(37);
        stream.apply(first);
        stream.apply(second);
        assert_eq!(data, plain);
    }

    /// The vector that RFC 7914 (section 11) gives for PBKDF2-HMAC-SHA-256, first block.
    #[test]
    fn pbkdf2_gives_the_vector_of_rfc_7914() {
        assert_eq!(
            *pbkdf2_sha256(b"passwd", b"salt", 1),
            hex32("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc")
        );
    }

    /// RFC 5869, test case 1, first block.
    #[test]
    fn hkdf_gives_the_vector_of_rfc_5869() {
        let okm = hkdf_sha256(
            &hex("000102030405060708090a0b0c"),
            &[0x0b; 22],
            &[&hex("f0f1f2f3f4"), &hex("f5f6f7f8f9")],
        );
        assert_eq!(*okm, hex32("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
    }

    /// What RFC 8452, appendix A, has for two blocks. Zeros before them change nothing, and fill the stripe.
    #[test]
    fn the_hashes_of_a_payload_give_the_vector_of_rfc_8452() {
        let key: [u8; BLOCK_SIZE] = hex("25629347589242761d31f826ba4b757b").try_into().unwrap();
        let blocks = hex("4f4f95668c83dfb6401762bb2d01a262d1a24ddd2721d006bbe45f20d3c9f362");
        let hash = hex("f7a3b47b846119fae5b7866cf5e5b77e");
        let mut mac = PayloadMac::new(&[1; 32], 2);
        (mac.even, mac.odd) = (Polyval::new(&key.into()), Polyval::new(&key.into()));
        let stripe = [vec![0; 32], blocks].concat();
        mac.update(&stripe);
        mac.update(&stripe);
        let (number, length) = (2u64.to_be_bytes(), (PAIR as u64).to_be_bytes());
        assert_eq!(mac.finish(), hmac_sha256(&[1; 32], &[b"tag", &number, &length, &hash, &hash]));
    }

    fn mac(key: u8, number: u64, parts: &[&[u8]]) -> PayloadMac {
        let mut mac = PayloadMac::new(&[key; 32], number);
        parts.iter().for_each(|part| mac.update(part));
        mac
    }

    #[test]
    fn a_payload_with_any_bit_flipped_has_another_tag_and_a_tag_with_any_bit_flipped_is_wrong() {
        for length in [1, 16, 63, 65, 129] {
            let payload: Vec<u8> = (0..length).collect();
            let tag = mac(1, 7, &[&payload]).finish();
            assert!(mac(1, 7, &[&payload]).verify(&tag));
            for bit in 0..8 * payload.len() {
                let mut changed = payload.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!mac(1, 7, &[&changed]).verify(&tag), "bit {bit} of {length} bytes");
            }
            for bit in 0..256 {
                let mut changed = tag;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!mac(1, 7, &[&payload]).verify(&changed), "bit {bit} of the tag");
            }
        }
    }

    #[test]
    fn the_mac_of_a_payload_is_another_under_another_key_or_number() {
        let tags = [mac(1, 1, &[b"a"]), mac(1, 2, &[b"a"]), mac(2, 1, &[b"a"])].map(PayloadMac::finish);
        assert!(tags[0] != tags[1] && tags[0] != tags[2] && tags[1] != tags[2]);
    }

    #[test]
    fn a_payload_that_ends_with_zeros_is_told_from_one_without_them() {
        let zeros = [0; 2 * PAIR];
        let tags: Vec<Bytes32> =
            (0..zeros.len()).map(|length| mac(1, 1, &[&zeros[..length]]).finish()).collect();
        for (length, tag) in tags.iter().enumerate() {
            assert!(!tags[..length].contains(tag), "{length} zeros");
        }
    }

    proptest! {
        #[test]
        fn a_payload_has_the_same_tag_however_it_is_split(
            payload in prop::collection::vec(any::<u8>(), 0..700),
            mut cuts in prop::collection::vec(0usize..700, 0..8),
        ) {
            let whole = mac(1, 1, &[&payload]).finish();
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(payload.len()));
            cuts.extend([0, payload.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|ends| &payload[ends[0]..ends[1]]).collect();
            prop_assert!(mac(1, 1, &parts).verify(&whole));
        }
    }

    /// That a value is wiped when it is dropped cannot be seen without `unsafe`; that its type says so can. `Hmac` has
    /// no trait that says so, but holds two states of `Sha256`; `Polyval` has none either, and its feature wipes it.
    #[test]
    fn keys_and_what_holds_them_are_wiped_when_dropped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        is_wiped::<Key>();
        is_wiped::<Ctr128BE<Aes256>>();
        is_wiped::<Sha256>();
    }

    #[test]
    fn a_hash_in_parts_is_the_hash_of_the_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.finish(), sha256(b"abc"));
        assert_eq!(sha256(b"abc"), hex32("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    }
}
