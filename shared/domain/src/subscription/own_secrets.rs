//! Secrets that we make: a source that lets us choose what proves its deliveries is sent 32 random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::signature::{LiveSecrets, MacKey, Place, SharedSecret};

/// The user that our basic credentials name.
const USER: &str = "orderhook";

/// What a shared secret at [`Place::Basic`] begins with: it is the header's whole value.
/// <https://www.rfc-editor.org/rfc/rfc7617#section-2>
const SCHEME: &str = "Basic ";

/// A secret that a source is sent with a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OurSecret {
    /// A key that it signs with.
    MacKey,
    /// Credentials that it repeats in `Authorization`.
    Basic,
    /// A value that it repeats in a header of our own.
    Header,
}

impl OurSecret {
    /// Adds such a secret, made of 32 random bytes, as base64url without padding.
    pub fn add(self, random: &[u8; 32], secrets: &mut LiveSecrets) {
        let text = URL_SAFE_NO_PAD.encode(random);
        match self {
            Self::MacKey => secrets.macs.push(MacKey::new(text)),
            Self::Basic => {
                let value = format!("{SCHEME}{}", STANDARD.encode(format!("{USER}:{text}")));
                secrets.shared.push(SharedSecret::new(Place::Basic, value));
            }
            Self::Header => secrets.shared.push(SharedSecret::new(Place::Header, text)),
        }
    }
}

/// User and password of a shared secret at [`Place::Basic`], for the call that registers them. `None` where it is no such
/// secret.
#[must_use]
pub fn basic_credentials(secret: &SharedSecret) -> Option<(String, String)> {
    if secret.place() != Place::Basic {
        return None;
    }
    let encoded = secret.expose().strip_prefix(SCHEME)?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_32_bytes_at_its_own_place() {
        let mut secrets = LiveSecrets::default();
        OurSecret::MacKey.add(&[1; 32], &mut secrets);
        OurSecret::Basic.add(&[2; 32], &mut secrets);
        OurSecret::Header.add(&[3; 32], &mut secrets);
        let texts = [[1; 32], [2; 32], [3; 32]].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let [mac] = secrets.macs.as_slice() else {
            panic!("{secrets:?}");
        };
        assert_eq!(mac.expose(), texts[0]);
        let [basic, header] = secrets.shared.as_slice() else {
            panic!("{secrets:?}");
        };
        let user_and_password = (USER.to_owned(), texts[1].clone());
        assert_eq!(basic_credentials(basic), Some(user_and_password));
        assert!(basic.expose().starts_with("Basic "));
        assert_eq!(
            (header.place(), header.expose()),
            (Place::Header, &*texts[2])
        );
        assert_eq!(basic_credentials(header), None);
        assert_eq!(texts[0].len(), 43);
    }

    #[test]
    fn what_is_no_basic_credential_has_no_user() {
        for text in ["", "Basic", "Basic ?", "Basic YQ==", "Bearer YTpi"] {
            assert_eq!(
                basic_credentials(&SharedSecret::new(Place::Basic, text)),
                None
            );
        }
    }
}
