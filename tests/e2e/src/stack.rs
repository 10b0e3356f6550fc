//! The stack under test: where it is, and clients for all of it.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test's own tools stop the test where there is nothing to test"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws::client::{Access, Aws};
use aws::s3::S3Oversize;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use domain::source::Source;
use http::Method;
use local::aws::Answer;
use local::outputs::Outputs;
use serde_json::Value;
use simulator::Control;

use crate::proxy::ProxyControl;
use crate::waiting::until;

/// The variable that names the file.
const VARIABLE: &str = "ORDERHOOK_OUTPUTS";

/// How long one call of a test may take: several functions may be starting on the same processors.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The stack, with clients that go to the emulator directly and not through the proxy.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Names and addresses.
    pub outputs: Outputs,
    /// Where the file of the outputs lies, which is the stack's own directory.
    pub directory: PathBuf,
    /// DynamoDB.
    pub dynamo: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// Secrets Manager.
    pub secrets: aws_sdk_secretsmanager::Client,
    /// The bucket for what is too large.
    pub oversize: S3Oversize,
    /// HTTP without redirects.
    pub http: reqwest::Client,
    admin: local::aws::Aws,
}

impl Stack {
    /// The stack that the environment names, or the one of `cargo local up`.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub async fn here() -> Self {
        let path = std::env::var_os(VARIABLE).map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/outputs.json"),
            PathBuf::from,
        );
        let outputs = Outputs::read(&path).unwrap_or_else(|_| {
            panic!(
                "these tests need a stack, and {} does not describe one. `cargo verify` starts a stack and runs \
                 them; or start one with `cargo local up --proxy`, or name another stack's file in {VARIABLE}.",
                path.display()
            )
        });
        // The functions' time-outs are for AWS, and a test is patient.
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(CALL_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT * 2);
        let aws = clients(&outputs).with_timeouts(timeouts.build());
        let bucket = outputs.get("OversizeBucket").expect("the stack's bucket");
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .timeout(CALL_TIMEOUT);
        Self {
            dynamo: aws.dynamo(),
            sqs: aws.sqs(),
            secrets: aws.secrets(),
            oversize: S3Oversize::of(&aws, bucket),
            http: http.build().expect("a client for 127.0.0.1 can be made"),
            admin: outputs.aws().expect("a client for 127.0.0.1 can be made"),
            directory: path.parent().unwrap_or(Path::new(".")).to_path_buf(),
            outputs,
        }
    }

    /// Clients like the functions' own, with their time-outs.
    ///
    /// # Panics
    /// None can be made.
    #[must_use]
    pub fn clients(&self) -> Aws {
        clients(&self.outputs)
    }

    /// The stack as the operators' command of its administrator is given it.
    ///
    /// # Panics
    /// No HTTP client can be made.
    #[must_use]
    pub fn target(&self) -> operate::Target {
        self.target_as(&self.outputs.access_key_id, &self.outputs.secret_access_key)
    }

    /// The same of whoever has an access key.
    ///
    /// # Panics
    /// No HTTP client can be made.
    #[must_use]
    pub fn target_as(&self, id: &str, key: &str) -> operate::Target {
        let outputs = &self.outputs;
        let access = operate::Access::fixed(&outputs.endpoint_url, &outputs.region, id, key);
        operate::Target {
            name: outputs.stack_name.clone(),
            calls: operate::Calls::new(access).expect("a client for 127.0.0.1 can be made"),
        }
    }

    /// One output of the template.
    ///
    /// # Panics
    /// The template has no such output.
    #[must_use]
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).expect("an output of the template")
    }

    /// A source, as this stack knows it.
    ///
    /// # Panics
    /// The stack has another source of that name than the built-in simulator.
    #[must_use]
    pub fn simulator_of(&self, source: Source) -> Control {
        let url = self.outputs.simulators.get(source.as_str());
        let url = url.unwrap_or_else(|| {
            panic!("no simulator plays {source}: start a stack without --source-url")
        });
        Control::new(url).expect("a client for 127.0.0.1 can be made")
    }

    /// What stands between the functions and AWS.
    ///
    /// # Panics
    /// The stack has none.
    #[must_use]
    pub fn proxy(&self) -> ProxyControl {
        let url = self.outputs.proxy_url.as_deref().unwrap_or_else(|| {
            panic!(
                "this test counts or disturbs the functions' calls, and the stack was started without the proxy \
                 that does it. `cargo verify` starts a stack with it, and so does `cargo local up --proxy`."
            )
        });
        ProxyControl::new(url).expect("a client for 127.0.0.1 can be made")
    }

    /// The keys of every version of every object below a prefix of the bucket for what is too large, markers of deletions
    /// included.
    ///
    /// # Panics
    /// There is no answer, or no list.
    pub async fn versions(&self, prefix: &str) -> Vec<String> {
        let bucket = self.output("OversizeBucket");
        let path = format!("/{bucket}?prefix={prefix}&versions=");
        let page = self.s3(Method::GET, &path, Vec::new()).await;
        let page = roxmltree::Document::parse(&page).expect("XML");
        let named = |name| {
            page.descendants()
                .filter(move |node| node.tag_name().name() == name)
        };
        let is_truncated = named("IsTruncated").filter_map(|node| node.text());
        assert_eq!(is_truncated.collect::<Vec<_>>(), ["false"]);
        let keys = named("Key").filter_map(|node| node.text());
        keys.map(str::to_owned).collect()
    }

    /// Calls the admin API, signed. `path` follows `/v1`.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("{}{path}", self.output("AdminUrl"));
        let answer = self.admin.api(method, &url, body).await;
        answer.expect("an answer of the admin API")
    }

    /// Calls the admin API about an account until it is done, as an operator does who is asked to retry. `path` follows the
    /// account's name.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn done(
        &self,
        account: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let path = format!("/accounts/{account}{path}");
        let what = format!("{method} {path} is done");
        until(&what, async || {
            let answer = self.admin(method.clone(), &path, body).await;
            match answer.status {
                200 => Ok(answer),
                status => Err(format!("{status} {}", answer.body)),
            }
        })
        .await
    }

    /// Calls S3 as the administrator, and returns what it answers as text.
    ///
    /// # Panics
    /// It refuses or does not answer.
    pub async fn s3(&self, method: Method, path: &str, body: Vec<u8>) -> String {
        let answer = self.admin.s3(method, path, body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:#}"));
        String::from_utf8(answer).expect("an answer of S3 about keys is text")
    }

    /// Lets a run of the schedule of erasures take place, which comes by itself every few minutes.
    ///
    /// # Panics
    /// The function fails.
    pub async fn run_erasures(&self) {
        let function = self.output("ErasureFunctionName");
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let event = serde_json::json!({ "schedule": "erasure" });
        let answer = self.admin.lambda(Method::POST, &path, Some(&event)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error:#}"));
        assert!(answer.get("errorMessage").is_none(), "{answer}");
    }

    /// Calls another of the emulator's services in AWS's JSON protocol, again where that fails: a list that the emulator makes
    /// while another test changes what is on it ends as an internal error.
    ///
    /// # Panics
    /// It refuses or does not answer.
    pub async fn aws(&self, service: &str, target: &str, input: &Value) -> Value {
        until(target, async || {
            let answer = self.admin.json(service, target, input).await;
            answer.map_err(|error| format!("{error:#}"))
        })
        .await
    }
}

fn clients(outputs: &Outputs) -> Aws {
    let (id, key) = (&outputs.access_key_id, &outputs.secret_access_key);
    let access = Access {
        region: outputs.region.clone(),
        endpoint: Some(outputs.endpoint_url.clone()),
        credentials: Credentials::new(id, key, None, None, "outputs"),
    };
    Aws::new(access).expect("a client for 127.0.0.1 can be made")
}
