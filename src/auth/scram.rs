//! The SCRAM-SHA-256 exchange. Names follow RFC 5802: StoredKey, ServerKey, AuthMessage.
//!
//! Deviation, stated in `docs/PROTOCOL.md`: passwords are taken as UTF-8 bytes, without SASLprep.

use std::fmt;
use std::str::FromStr;

use crate::config::{MAX_ITERATIONS, MIN_ITERATIONS};
use crate::name::{ServerName, UserName};
use crate::primitives::{
    Bytes32, Key, constant_time_equal, hkdf_sha256, hmac_sha256, hmac_verify, pbkdf2_sha256, sha256,
};
use crate::sealed::MASTER_SALT;
use crate::text::{base64_decode, base64_encode, parse_number};

/// Longest nonce of each side, in characters.
pub const MAX_NONCE: usize = 128;
/// Longest salt, in bytes.
pub const MAX_SALT: usize = 64;

/// No channel binding: there is no TLS channel to bind to.
const GS2_HEADER: &str = "n,,";
const SESSION_SALT_LABEL: &[u8] = b"ShareIt v1 session";
const CLIENT_LINES: &[u8] = b"client lines";
const SERVER_LINES: &[u8] = b"server lines";
const PAYLOADS: &[u8] = b"payloads";
const SECRETS: &[u8] = b"secrets";

/// Why an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramError {
    /// A message that does not have the RFC's form, or exceeds a limit.
    Malformed,
    /// The server's nonce does not extend the client's, or a later message has another nonce.
    Nonce,
    /// Fewer iterations than [`MIN_ITERATIONS`] or more than [`MAX_ITERATIONS`].
    Iterations(u32),
    /// The server asks for fewer iterations than the .conf accepts.
    FewIterations {
        /// How many it asks for.
        asked: u32,
        /// How many the .conf accepts at least.
        least: u32,
    },
    /// The server's salt is one from which the keys of files are derived: the client would use its own master key as
    /// the secret of a login.
    Salt,
    /// The client's proof is wrong: an unknown user, or another password. The server does not say which.
    Denied,
    /// The server's signature is wrong: it does not know the user's verifier.
    ServerUnproven,
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScramError::Malformed => f.write_str("malformed login message"),
            ScramError::Nonce => f.write_str("the login nonce was not extended"),
            ScramError::Iterations(n) => {
                write!(
                    f,
                    "the server asks for {n} password iterations; {MIN_ITERATIONS} to {MAX_ITERATIONS} are accepted"
                )
            }
            ScramError::FewIterations { asked, least } => write!(
                f,
                "the server asks for {asked} password iterations, fewer than the {least} that are accepted; \
                 if its Users.conf was made that way, add the line 'MinIterations {asked}' to the .conf"
            ),
            ScramError::Salt => f.write_str("the server's salt is reserved for the keys of files"),
            ScramError::Denied => f.write_str("invalid username or password"),
            ScramError::ServerUnproven => f.write_str("the server did not prove that it knows this user"),
        }
    }
}

impl std::error::Error for ScramError {}

/// SaltedPassword: the expensive part of a login, the same in every exchange with the same salt.
#[derive(Clone, PartialEq, Eq)]
pub struct Salted(Key);

impl Salted {
    /// Hi() of RFC 5802.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        Self(pbkdf2_sha256(password.as_bytes(), salt, iterations))
    }

    fn client_key(&self) -> Key {
        hmac_sha256(&*self.0, &[b"Client Key"]).into()
    }

    fn server_key(&self) -> Key {
        hmac_sha256(&*self.0, &[b"Server Key"]).into()
    }
}

/// What a server keeps of a password. Its text form is that of PostgreSQL's `pg_authid`:
/// `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Iterations.
    pub iterations: u32,
    /// Salt.
    pub salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// The verifier of a password.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = Salted::derive(password, salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: sha256(&*salted.client_key()).into(),
            server_key: salted.server_key(),
        }
    }

    /// One that no password matches, to challenge unknown users with. Clients must not be able to predict
    /// `keys`.
    pub fn mock(salt: &[u8], iterations: u32, keys: Bytes32) -> Self {
        Self { iterations, salt: salt.to_vec(), stored_key: keys.into(), server_key: keys.into() }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, stored, server) =
            (base64_encode(&self.salt), base64_encode(&*self.stored_key), base64_encode(&*self.server_key));
        write!(f, "SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl FromStr for Verifier {
    type Err = ScramError;

    fn from_str(text: &str) -> Result<Self, ScramError> {
        let parse = || {
            let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
            let (iterations, salt) = parameters.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            Some(Verifier {
                iterations: parse_iterations(iterations)?,
                salt: base64_decode(salt)?,
                stored_key: Bytes32::try_from(base64_decode(stored_key)?).ok()?.into(),
                server_key: Bytes32::try_from(base64_decode(server_key)?).ok()?.into(),
            })
        };
        let verifier = parse().ok_or(ScramError::Malformed)?;
        if verifier.salt.is_empty() || verifier.salt.len() > MAX_SALT {
            return Err(ScramError::Malformed);
        }
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&verifier.iterations) {
            return Err(ScramError::Iterations(verifier.iterations));
        }
        Ok(verifier)
    }
}

/// The keys of one session: one for each direction of its lines, one for payloads, and one for secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// For lines from the client.
    pub client_lines: Key,
    /// For lines from the server.
    pub server_lines: Key,
    /// For payloads from the client.
    pub payloads: Key,
    /// For what nobody else may read; this key encrypts, while the others authenticate.
    pub secrets: Key,
}

impl SessionKeys {
    /// Both ends know ClientKey after the proof, and it never travels. AuthMessage holds both nonces. The server's
    /// name keeps a rogue server from relaying this login to another server.
    fn derive(client_key: &Bytes32, auth_message: &str, server: &ServerName) -> Self {
        let salt = [SESSION_SALT_LABEL, &sha256(auth_message.as_bytes())].concat();
        let derive = |label| hkdf_sha256(&salt, client_key, &[label, b"\0", server.as_str().as_bytes()]);
        Self {
            client_lines: derive(CLIENT_LINES),
            server_lines: derive(SERVER_LINES),
            payloads: derive(PAYLOADS),
            secrets: derive(SECRETS),
        }
    }
}

/// The client has sent its name and nonce.
pub struct ClientFirst {
    bare: String,
    nonce: String,
}

/// The client knows salt and iterations, and the salted password is being derived.
pub struct ClientChallenge {
    /// The salt for this user.
    pub salt: Vec<u8>,
    /// The iterations for this user.
    pub iterations: u32,
    auth_message_start: String,
    nonce: String,
}

/// The client has sent its proof.
pub struct ClientProof {
    message: String,
    auth_message: String,
    salted: Salted,
}

impl ClientFirst {
    /// Begins an exchange. `nonce` must be printable ASCII without commas, random, and never used before.
    pub fn new(user: &UserName, nonce: &str) -> Self {
        Self { bare: format!("n={user},r={nonce}"), nonce: nonce.to_owned() }
    }

    /// The client-first message.
    pub fn message(&self) -> String {
        format!("{GS2_HEADER}{}", self.bare)
    }

    /// Reads the server-first message. `least` is the fewest iterations to accept, but never fewer than
    /// [`MIN_ITERATIONS`] are.
    ///
    /// # Errors
    /// A malformed message, a nonce that was not extended, iterations out of range, or a salt that is not for
    /// logins.
    pub fn challenge(self, server_first: &str, least: u32) -> Result<ClientChallenge, ScramError> {
        let mut attributes = server_first.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        let salt = base64_decode(attribute(attributes.next(), "s=")?).ok_or(ScramError::Malformed)?;
        let iterations =
            parse_iterations(attribute(attributes.next(), "i=")?).ok_or(ScramError::Malformed)?;
        if attributes.next().is_some() || salt.is_empty() || salt.len() > MAX_SALT {
            return Err(ScramError::Malformed);
        }
        check_nonce(nonce, 2 * MAX_NONCE)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(ScramError::Iterations(iterations));
        }
        if iterations < least {
            return Err(ScramError::FewIterations { asked: iterations, least });
        }
        if salt.starts_with(MASTER_SALT) {
            return Err(ScramError::Salt);
        }
        let auth_message_start = format!("{},{server_first}", self.bare);
        Ok(ClientChallenge { salt, iterations, auth_message_start, nonce: nonce.to_owned() })
    }
}

impl ClientChallenge {
    /// Proves that the client knows the password. `salted` must come from this salt and iterations.
    pub fn prove(self, salted: Salted) -> ClientProof {
        let without_proof = format!("c={},r={}", base64_encode(GS2_HEADER.as_bytes()), self.nonce);
        let auth_message = format!("{},{without_proof}", self.auth_message_start);
        let client_key = salted.client_key();
        let signature = hmac_sha256(&sha256(&*client_key), &[auth_message.as_bytes()]);
        let proof = base64_encode(&xor(&client_key, &signature));
        ClientProof { message: format!("{without_proof},p={proof}"), auth_message, salted }
    }
}

impl ClientProof {
    /// The client-final message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Reads the server-final message, and ends the login to the server of this name.
    ///
    /// # Errors
    /// A malformed message, or [`ScramError::ServerUnproven`] if the server does not know the verifier.
    pub fn finish(self, server_final: &str, server: &ServerName) -> Result<SessionKeys, ScramError> {
        let signature = base64_decode(server_final.strip_prefix("v=").ok_or(ScramError::Malformed)?);
        let signature: Bytes32 = signature.and_then(|s| s.try_into().ok()).ok_or(ScramError::Malformed)?;
        if !hmac_verify(&*self.salted.server_key(), &[self.auth_message.as_bytes()], &signature) {
            return Err(ScramError::ServerUnproven);
        }
        Ok(SessionKeys::derive(&self.salted.client_key(), &self.auth_message, server))
    }
}

/// The server has a client's name and nonce.
pub struct ServerFirst {
    /// Who wants to log in.
    pub user: UserName,
    client_nonce: String,
    bare: String,
}

/// The server has sent salt, iterations and its nonce.
pub struct ServerChallenge {
    message: String,
    nonce: String,
    bare: String,
    verifier: Verifier,
}

impl ServerFirst {
    /// Reads the client-first message.
    ///
    /// # Errors
    /// [`ScramError::Malformed`], even for a client that asks for channel binding, which is not supported.
    pub fn parse(client_first: &str) -> Result<Self, ScramError> {
        let bare = client_first.strip_prefix(GS2_HEADER).ok_or(ScramError::Malformed)?;
        let mut attributes = bare.split(',');
        let user = UserName::parse(attribute(attributes.next(), "n=")?).map_err(|_| ScramError::Malformed)?;
        let nonce = attribute(attributes.next(), "r=")?;
        check_nonce(nonce, MAX_NONCE)?;
        if attributes.next().is_some() {
            return Err(ScramError::Malformed);
        }
        Ok(Self { user, client_nonce: nonce.to_owned(), bare: bare.to_owned() })
    }

    /// Answers with the user's verifier, or with a mock for an unknown user. `nonce` is like that of
    /// [`ClientFirst::new`].
    pub fn challenge(self, verifier: Verifier, nonce: &str) -> ServerChallenge {
        let nonce = format!("{}{nonce}", self.client_nonce);
        let message = format!("r={nonce},s={},i={}", base64_encode(&verifier.salt), verifier.iterations);
        ServerChallenge { message, nonce, bare: self.bare, verifier }
    }
}

impl ServerChallenge {
    /// The server-first message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Reads the client-final message; returns the server-final message and the session's keys.
    ///
    /// # Errors
    /// [`ScramError::Denied`] for a wrong proof; a malformed message, or one with another nonce.
    pub fn finish(
        self,
        client_final: &str,
        server: &ServerName,
    ) -> Result<(String, SessionKeys), ScramError> {
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let expected = format!("c={},r={}", base64_encode(GS2_HEADER.as_bytes()), self.nonce);
        if without_proof != expected {
            return Err(ScramError::Nonce);
        }
        let proof: Bytes32 =
            base64_decode(proof).and_then(|p| p.try_into().ok()).ok_or(ScramError::Malformed)?;
        let auth_message = format!("{},{},{without_proof}", self.bare, self.message);
        let signature = hmac_sha256(&*self.verifier.stored_key, &[auth_message.as_bytes()]);
        let client_key = Key::from(xor(&proof, &signature));
        if !constant_time_equal(&sha256(&*client_key), &self.verifier.stored_key) {
            return Err(ScramError::Denied);
        }
        let server_signature = hmac_sha256(&*self.verifier.server_key, &[auth_message.as_bytes()]);
        let keys = SessionKeys::derive(&client_key, &auth_message, server);
        Ok((format!("v={}", base64_encode(&server_signature)), keys))
    }
}

fn attribute<'a>(attribute: Option<&'a str>, name: &str) -> Result<&'a str, ScramError> {
    attribute.and_then(|a| a.strip_prefix(name)).ok_or(ScramError::Malformed)
}

/// RFC 5802, section 5.1: a positive number.
fn parse_iterations(text: &str) -> Option<u32> {
    parse_number(text).filter(|&iterations| iterations > 0)
}

/// RFC 5802, section 7: printable ASCII except the comma.
fn check_nonce(nonce: &str, limit: usize) -> Result<(), ScramError> {
    let printable = nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    if nonce.is_empty() || nonce.len() > limit || !printable { Err(ScramError::Malformed) } else { Ok(()) }
}

fn xor(a: &Bytes32, b: &Bytes32) -> Bytes32 {
    std::array::from_fn(|i| a[i] ^ b[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn user() -> UserName {
        UserName::parse("user").unwrap()
    }

    fn server() -> ServerName {
        ServerName::parse("Server1").unwrap()
    }

    fn client_proof() -> ClientProof {
        let challenge = ClientFirst::new(&user(), CLIENT_NONCE).challenge(SERVER_FIRST, 4096).ok().unwrap();
        let salted = Salted::derive("pencil", &challenge.salt, challenge.iterations);
        challenge.prove(salted)
    }

    fn server_challenge(password: &str) -> ServerChallenge {
        let salt = base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let first = ServerFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").ok().unwrap();
        first.challenge(Verifier::derive(password, &salt, 4096), SERVER_NONCE)
    }

    #[test]
    fn both_ends_say_what_rfc_7677_records() {
        assert_eq!(ClientFirst::new(&user(), CLIENT_NONCE).message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(server_challenge("pencil").message(), SERVER_FIRST);
        assert_eq!(client_proof().message(), CLIENT_FINAL);
        let (server_final, server_keys) =
            server_challenge("pencil").finish(CLIENT_FINAL, &server()).ok().unwrap();
        assert_eq!(server_final, SERVER_FINAL);
        let client_keys = client_proof().finish(SERVER_FINAL, &server()).ok().unwrap();
        assert!(client_keys == server_keys);
        assert_ne!(client_keys.client_lines, client_keys.server_lines);
    }

    #[test]
    fn keys_are_bound_to_the_servers_name() {
        let relayed = ServerName::parse("Server2").unwrap();
        let (_, keys) = server_challenge("pencil").finish(CLIENT_FINAL, &relayed).ok().unwrap();
        assert!(keys != client_proof().finish(SERVER_FINAL, &server()).ok().unwrap());
    }

    #[test]
    fn a_wrong_password_is_denied_and_a_server_without_verifier_found_out() {
        assert_eq!(server_challenge("pen").finish(CLIENT_FINAL, &server()).err(), Some(ScramError::Denied));
        let forged = format!("v={}", base64_encode(&[0; 32]));
        assert_eq!(client_proof().finish(&forged, &server()).err(), Some(ScramError::ServerUnproven));
        assert_eq!(client_proof().finish("e=other-error", &server()).err(), Some(ScramError::Malformed));
    }

    #[test]
    fn weak_or_odd_challenges_are_refused() {
        let challenge =
            |message: &str| ClientFirst::new(&user(), CLIENT_NONCE).challenge(message, 4096).err();
        let with_iterations = |n: &str| SERVER_FIRST.replace("4096", n);
        assert_eq!(challenge(&with_iterations("1")), Some(ScramError::Iterations(1)));
        assert_eq!(challenge(&with_iterations("4095")), Some(ScramError::Iterations(4095)));
        assert_eq!(challenge(&with_iterations("4294967295")), Some(ScramError::Iterations(u32::MAX)));
        assert_eq!(challenge(&with_iterations("99999999999")), Some(ScramError::Malformed));
        let first = || ClientFirst::new(&user(), CLIENT_NONCE);
        let too_few = ScramError::FewIterations { asked: 4096, least: 4097 };
        assert_eq!(first().challenge(SERVER_FIRST, 4097).err(), Some(too_few));
        let of_a_file = base64_encode(b"ShareIt v1 master key\0user");
        assert_eq!(
            challenge(&SERVER_FIRST.replace("W22ZaJ0SNY7soEsUEjb6gQ==", &of_a_file)),
            Some(ScramError::Salt)
        );
        let not_extended = format!("r={CLIENT_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(challenge(&not_extended), Some(ScramError::Nonce));
        assert_eq!(challenge(&SERVER_FIRST.replace("rOpr", "xOpr")), Some(ScramError::Nonce));
        assert_eq!(challenge(&format!("m=ext,{SERVER_FIRST}")), Some(ScramError::Malformed));
        assert_eq!(challenge(&format!("{SERVER_FIRST},x=y")), Some(ScramError::Malformed));
        assert_eq!(
            challenge(&SERVER_FIRST.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "")),
            Some(ScramError::Malformed)
        );
    }

    #[test]
    fn odd_client_messages_are_refused() {
        for message in [
            "",
            "n,,n=user",
            "y,,n=user,r=x",
            "p=tls-unique,,n=user,r=x",
            "n,,n=../x,r=x",
            "n,,n=u,r=",
            "n,,n=u,r=x,y=z",
        ] {
            assert_eq!(ServerFirst::parse(message).err(), Some(ScramError::Malformed), "{message}");
        }
        let replayed = CLIENT_FINAL.replace("hNlF", "xxxx");
        assert_eq!(server_challenge("pencil").finish(&replayed, &server()).err(), Some(ScramError::Nonce));
        assert_eq!(server_challenge("pencil").finish("c=biws", &server()).err(), Some(ScramError::Malformed));
    }

    #[test]
    fn verifiers_have_postgresqls_form() {
        let verifier = Verifier::derive("pencil", b"0123456789abcdef", 4096);
        let text = verifier.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$"), "{text}");
        assert!(text.parse::<Verifier>().ok() == Some(verifier));
        assert_eq!(text.replace("4096", "10").parse::<Verifier>().err(), Some(ScramError::Iterations(10)));
        assert!("SCRAM-SHA-256$4096:x".parse::<Verifier>().is_err());
    }
}
