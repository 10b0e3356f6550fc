//! As whom AWS is called, and where.

use std::fmt;
use std::path::Path;

use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use serde::Deserialize;

use super::error::Error;

/// Where a local stack's outputs lie, from the repository's root.
pub const LOCAL_OUTPUTS: &str = ".local/outputs.json";

/// Who calls, in which region, and at which address.
#[derive(Clone)]
pub struct Access {
    pub(crate) region: String,
    /// One address for all services: an emulator. None on AWS.
    pub(crate) endpoint: Option<String>,
    pub(crate) credentials: SharedCredentialsProvider,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// What the AWS CLI would take: the environment, the profile (single sign-on, an assumed role, a process), a
    /// container's or a machine's role. The credentials themselves are read at the first call.
    ///
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>
    ///
    /// # Errors
    /// [`Error::Usage`] where no region is configured.
    pub async fn from_environment(
        profile: Option<&str>,
        region: Option<&str>,
    ) -> Result<Self, Error> {
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        let mut wanted = region.map(|region| Region::new(region.to_owned()));
        if let Some(profile) = profile {
            // A profile that is named on the command line is meant before the environment, as in the AWS CLI.
            if wanted.is_none() {
                wanted = profile_region(profile).await;
            }
            let config = ProviderConfig::without_region()
                .with_region(wanted.clone())
                .with_http_client(http);
            let credentials = ProfileFileCredentialsProvider::builder()
                .configure(&config)
                .profile_name(profile)
                .build();
            loader = loader
                .profile_name(profile)
                .credentials_provider(credentials);
        }
        if let Some(region) = wanted {
            loader = loader.region(region);
        }
        Self::of(&loader.load().await)
    }

    fn of(config: &SdkConfig) -> Result<Self, Error> {
        let region = config.region().ok_or_else(|| {
            Error::Usage(
                "no AWS region is configured: give --region, set AWS_REGION, or set one in the profile"
                    .to_owned(),
            )
        })?;
        let credentials = config.credentials_provider();
        Ok(Self {
            region: region.as_ref().to_owned(),
            endpoint: config.endpoint_url().map(str::to_owned),
            credentials: credentials.ok_or_else(|| Error::Credentials("none are found".into()))?,
        })
    }

    /// Fixed credentials at one address.
    #[must_use]
    pub fn fixed(
        endpoint: &str,
        region: &str,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Self {
        let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "given");
        Self {
            region: region.to_owned(),
            endpoint: Some(endpoint.trim_end_matches('/').to_owned()),
            credentials: SharedCredentialsProvider::new(credentials),
        }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether an emulator answers.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.endpoint.is_some()
    }

    pub(crate) async fn credentials(&self) -> Result<Credentials, Error> {
        let provided = self.credentials.provide_credentials().await;
        provided.map_err(|error| Error::Credentials(explain(&error)))
    }
}

/// The region that a profile has.
async fn profile_region(profile: &str) -> Option<Region> {
    use aws_config::meta::region::ProvideRegion as _;
    let provider = ProfileFileRegionProvider::builder().profile_name(profile);
    provider.build().region().await
}

/// The whole chain of reasons: the outermost says only that it did not work.
fn explain(error: &CredentialsError) -> String {
    let mut reasons = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        let text = reason.to_string();
        if reasons.last() != Some(&text) {
            reasons.push(text);
        }
        source = reason.source();
    }
    reasons.join(": ")
}

/// A local stack, as its file of outputs describes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Local {
    endpoint_url: String,
    region: String,
    access_key_id: String,
    secret_access_key: String,
    /// The deployed stack's name.
    pub stack_name: String,
}

impl Local {
    /// Reads the file that `cargo local up` writes.
    ///
    /// # Errors
    /// [`Error::NotFound`] where no local stack is up; [`Error::Unreadable`] where the file is another.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read(path).map_err(|_| Error::NotFound {
            what: format!(
                "a local stack ({}; `cargo local up` starts one)",
                path.display()
            ),
        })?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::unreadable(path.display().to_string(), error))
    }

    /// How to call it.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::fixed(
            &self.endpoint_url,
            &self.region,
            &self.access_key_id,
            &self.secret_access_key,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_stack_is_read_from_its_file_whatever_else_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outputs.json");
        let text = r#"{"EndpointUrl":"http://127.0.0.1:1/","Region":"eu-west-1","AccessKeyId":"test","SecretAccessKey":"marker",
            "StackName":"here","Simulators":{"onestock":"http://127.0.0.1:2"},"HooksUrl":"http://127.0.0.1:1/hooks"}"#;
        std::fs::write(&path, text).unwrap();
        let local = Local::read(&path).unwrap();
        assert_eq!(local.stack_name, "here");
        let access = local.access();
        assert_eq!(access.region(), "eu-west-1");
        assert_eq!(access.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert!(!format!("{access:?}").contains("marker"));
    }

    #[test]
    fn without_a_file_there_is_no_local_stack_and_another_file_is_unreadable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outputs.json");
        assert!(matches!(Local::read(&path), Err(Error::NotFound { .. })));
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Local::read(&path), Err(Error::Unreadable { .. })));
    }
}
