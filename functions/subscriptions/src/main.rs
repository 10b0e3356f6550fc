//! The subscriptions function on Lambda: wiring.

use adapters::aws::{Access, Aws};
use adapters::dynamo::accounts::{DynamoAccounts, DynamoDeliveries};
use adapters::orderspace::Orderspace;
use adapters::secrets::write::AccountSecrets;
use lambda_http::{Request, service_fn};
use runtime::{clock, config::Variables, telemetry};
use subscriptions::{Settings, Subscriptions, config::Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let config = Config::read(&variables)?;
    let aws = Aws::new(Access::from_env()?)?;
    let accounts = DynamoAccounts::new(aws.dynamo(), &config.accounts_table);
    let deliveries = DynamoDeliveries::new(aws.dynamo(), &config.receipts_table);
    let secrets = AccountSecrets::new(
        aws.secrets(),
        &config.oauth_prefix,
        &config.signing_prefix,
        config.recovery_days,
    );
    let webhooks = Orderspace::new(config.orderspace)?;
    let settings = Settings::new(config.hooks);
    let subscriptions = Subscriptions::new(&accounts, &secrets, &webhooks, &deliveries, settings);
    let subscriptions = &subscriptions;
    lambda_http::run(service_fn(|request: Request| async move {
        Ok::<_, lambda_http::Error>(subscriptions.handle(&request, clock::now()).await)
    }))
    .await
}
