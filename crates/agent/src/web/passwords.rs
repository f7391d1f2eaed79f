//! Hashing of passwords: argon2id, one at a time, off the runtime's thread.

use std::sync::{Arc, Mutex};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use http::StatusCode;
use periwinkle_core::limits;
use periwinkle_core::secret::Secret;
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::net::entropy;

/// Hashes and checks passwords.
///
/// Each hashing takes as much memory as configured, so they take turns; how many may wait is
/// bounded as well.
#[derive(Clone, Debug)]
pub struct Passwords {
    params: Params,
    turn: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Kept from one hashing to the next: taken anew each time, it leaves holes in the heap of
    /// each thread that the next one does not fit in, and a few logins cost hundreds of megabytes.
    memory: Arc<Mutex<Vec<Block>>>,
    /// What the password of a user who does not exist is checked against, so that the time of an
    /// answer does not tell who exists.
    nobody: Arc<str>,
}

impl Passwords {
    /// Hashing that takes `memory_bytes` (OWASP, Password Storage Cheat Sheet: argon2id).
    pub fn new(memory_bytes: u64) -> Passwords {
        let kib = u32::try_from(memory_bytes / 1024)
            .unwrap_or(u32::MAX)
            .max(Params::MIN_M_COST);
        let params = Params::new(kib, limits::PASSWORD_PASSES, 1, None)
            .expect("the configuration's bounds are argon2's");
        let nobody = unusable_hash(&params);
        let one = || Arc::new(Semaphore::new(1));
        let places = Arc::new(Semaphore::new(limits::PASSWORDS_WAITING_MAX));
        Passwords {
            params,
            turn: one(),
            places,
            memory: Arc::default(),
            nobody,
        }
    }

    /// The text to keep of a password, with a salt of its own.
    ///
    /// Dropping the future gives the turn to the next.
    pub async fn hash(&self, password: Secret) -> Result<String, Problem> {
        let salt = entropy::bytes::<16>().map_err(|error| Problem::internal(&error))?;
        let params = self.params.clone();
        self.take_turn(move |memory| {
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params)?,
                salt: Some(Salt::new(&salt)?),
                hash: Some(derive(params, &password, &salt, memory)?),
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a password is the one of `hash`; without a hash the answer is no, as slowly.
    ///
    /// Dropping the future gives the turn to the next.
    pub async fn check(&self, password: Secret, hash: Option<&str>) -> Result<bool, Problem> {
        let hash: Arc<str> = hash.map_or_else(|| self.nobody.clone(), Arc::from);
        self.take_turn(move |memory| {
            let hash = PasswordHash::new(&hash)?;
            let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
                return Ok(false);
            };
            // Outputs are compared in constant time.
            Ok(derive(Params::try_from(&hash)?, &password, salt, memory)? == *expected)
        })
        .await
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = self.places.try_acquire().map_err(|_| {
            let detail = "Too many logins are being checked; try again in a moment.";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).retry_after_s(2)
        })?;
        let turn = self
            .turn
            .clone()
            .acquire_owned()
            .await
            .expect("it is never closed");
        let memory = self.memory.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, also when nobody waits for it any more.
            let _turn = turn;
            work(&mut memory.lock().expect("hashing does not panic"))
        });
        match done.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(Problem::internal(&error)),
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum HashError {
    #[error("a password cannot be hashed: {0}")]
    Hash(#[from] argon2::Error),
    #[error("a password's parameters cannot be used: {0}")]
    Parameters(#[from] argon2::password_hash::Error),
    #[error("a stored password hash cannot be read: {0}")]
    Phc(#[from] argon2::password_hash::phc::Error),
}

fn derive(
    params: Params,
    password: &Secret,
    salt: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Output, HashError> {
    let missing = params.block_count().saturating_sub(memory.len());
    memory.reserve_exact(missing);
    memory.resize(memory.len() + missing, Block::new());
    let mut output = [0; DIGEST_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password.expose().as_bytes(),
        salt,
        &mut output,
        memory,
    )?;
    Ok(Output::new(&output)?)
}

const DIGEST_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;

/// A hash in the right form that no password has: its digest is not made from one.
fn unusable_hash(params: &Params) -> Arc<str> {
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, digest) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${digest}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_another_is_not() {
        let passwords = Passwords::new(1 << 20);
        let hash = passwords
            .hash("correct horse".into())
            .await
            .expect("it can be hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=1024,t=2,p=1$"), "{hash}");
        let check = |text: &str| passwords.check(text.into(), Some(&hash));
        assert_eq!(check("correct horse").await, Ok(true));
        assert_eq!(check("correct hors").await, Ok(false));
    }

    #[tokio::test]
    async fn every_hashing_uses_the_same_memory() {
        let passwords = Passwords::new(1 << 20);
        let hash = passwords.hash("correct horse".into()).await;
        let hash = hash.expect("it can be hashed");
        let place = |passwords: &Passwords| {
            let memory = passwords.memory.lock().expect("nobody panicked");
            (memory.as_ptr(), memory.capacity())
        };
        let first = place(&passwords);
        assert_eq!(first.1, 1024);
        for _ in 0..4 {
            let checked = passwords.check("correct horse".into(), Some(&hash)).await;
            assert_eq!(checked, Ok(true));
        }
        assert_eq!(place(&passwords), first);
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let passwords = Passwords::new(1 << 20);
        assert_eq!(passwords.check("".into(), None).await, Ok(false));
        assert!(PasswordHash::new(&passwords.nobody).is_ok());
    }
}
