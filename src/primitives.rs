//! The cryptographic primitives, each with the document that defines it. No other module names the
//! crates behind them.
//!
//! What a caller must never do: use one key for two purposes, use one [`Keystream`] key and block
//! twice for different data, or decrypt what has not been verified.

use aegis::aegis128x2::Aegis128X2Mac;
use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// 256 bits: a key, a hash or a MAC.
pub type Bytes32 = [u8; 32];

/// SHA-256 (FIPS 180-4) of a message.
pub fn sha256(message: &[u8]) -> Bytes32 {
    Sha256::digest(message).into()
}

/// SHA-256 of a message that comes in parts.
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

/// A MAC of a message that comes in parts: AEGISMAC with AEGIS-128X2 (draft-irtf-cfrg-aegis-aead), a tag of 256
/// bits. For bytes in transit alone: what is kept has SHA-256.
pub struct PayloadMac(Aegis128X2Mac<32>);

impl PayloadMac {
    /// With a key's first 128 bits. `number` is never used twice with the same key.
    pub fn new(key: &Bytes32, number: u64) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&key[..16]);
        Self::with_nonce(&half, &u128::from(number).to_be_bytes())
    }

    fn with_nonce(key: &[u8; 16], nonce: &[u8; 16]) -> Self {
        Self(Aegis128X2Mac::new_with_nonce(key, nonce))
    }

    /// Takes the next part.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The tag of all parts.
    pub fn finish(self) -> Bytes32 {
        self.0.finalize()
    }

    /// Whether this is the tag of all parts; takes the same time wherever it differs.
    pub fn verify(self, tag: &Bytes32) -> bool {
        self.0.verify(tag).is_ok()
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
/// Concatenation binds no borders: a caller with parts of variable length puts lengths before them.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Bytes32 {
    hmac(key, parts).finalize().into_bytes().into()
}

/// Whether `tag` is the HMAC-SHA-256 of `parts`; takes the same time wherever they differ.
pub fn hmac_verify(key: &[u8], parts: &[&[u8]], tag: &Bytes32) -> bool {
    hmac(key, parts).verify_slice(tag).is_ok()
}

/// Whether two values are the same, in a time that does not tell where they differ.
pub fn constant_time_equal(a: &Bytes32, b: &Bytes32) -> bool {
    a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// PBKDF2-HMAC-SHA-256 (RFC 8018) with an output of one block.
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: u32) -> Bytes32 {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations)
}

/// HKDF-SHA-256 (RFC 5869), extract and expand, with an output of one block.
pub fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Bytes32 {
    let mut out = [0; 32];
    #[expect(clippy::expect_used, reason = "32 bytes are far below HKDF's limit of 255 blocks")]
    Hkdf::<Sha256>::new(Some(salt), secret).expand_multi_info(info, &mut out).expect("one block");
    out
}

/// AES-256 in counter mode (NIST SP 800-38A), the counter block counting up as a 128-bit big-endian
/// number.
pub struct Keystream(Ctr128BE<Aes256>);

impl Keystream {
    /// The keystream of a key from a first counter block.
    pub fn new(key: &Bytes32, first_block: &[u8; 16]) -> Self {
        Self(Ctr128BE::<Aes256>::new(key.into(), first_block.into()))
    }

    /// Goes to a byte of the keystream.
    pub fn seek(&mut self, byte: u64) {
        self.0.seek(byte);
    }

    /// Encrypts or decrypts in place, and goes on by as many bytes.
    pub fn apply(&mut self, data: &mut [u8]) {
        self.0.apply_keystream(data);
    }
}

/// Random bytes from the operating system.
///
/// # Errors
/// What the operating system says when it has none to give.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut tail = cipher[37..].to_vec();
        let mut stream = Keystream::new(&key, &block);
        stream.seek(37);
        stream.apply(&mut tail);
        assert_eq!(tail, plain[37..]);
    }

    /// The vector that RFC 7914 (section 11) gives for PBKDF2-HMAC-SHA-256, first block.
    #[test]
    fn pbkdf2_gives_the_vector_of_rfc_7914() {
        assert_eq!(
            pbkdf2_sha256(b"passwd", b"salt", 1),
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
        assert_eq!(okm, hex32("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
    }

    /// The draft's vector of AEGISMAC-128X2, with a tag of 256 bits.
    #[test]
    fn the_mac_of_payloads_gives_the_vector_of_its_draft() {
        let key = hex("10010000000000000000000000000000").try_into().unwrap();
        let nonce = hex("10000200000000000000000000000000").try_into().unwrap();
        let message = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122");
        let tag = hex32("afcba3fc2d63c8d6c7f2d63f3ec8fbbbaf022e15ac120e78ffa7755abccd959c");
        let of = |parts: &[&[u8]]| {
            let mut mac = PayloadMac::with_nonce(&key, &nonce);
            parts.iter().for_each(|part| mac.update(part));
            mac
        };
        assert_eq!(of(&[&message]).finish(), tag);
        assert!(of(&[&message[..3], &message[3..]]).verify(&tag));
        assert!(!of(&[&message[1..]]).verify(&tag));
    }

    #[test]
    fn the_mac_of_a_payload_is_another_under_another_key_or_number() {
        let mac = |key: Bytes32, number| PayloadMac::new(&key, number).finish();
        assert_ne!(mac([1; 32], 1), mac([1; 32], 2));
        assert_ne!(mac([1; 32], 1), mac([2; 32], 1));
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
