//! The subscriptions function on Lambda: wiring.

use adapters::aws::{Access, Aws, Warm as _};
use adapters::dynamo::accounts::{DynamoAccounts, DynamoDeliveries};
use adapters::orderspace::Orderspace;
use adapters::secrets::write::AccountSecrets;
use lambda_http::{Error, Request, run, service_fn};
use runtime::{clock, config::Variables, telemetry};
use subscriptions::{Settings, Subscriptions, config::Config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let config = Config::read(&variables)?;
    let aws = Aws::new(Access::from_env()?)?;
    let (dynamo, secrets_manager) = (aws.dynamo(), aws.secrets());
    let accounts = DynamoAccounts::new(dynamo.clone(), &config.accounts_table);
    let deliveries = DynamoDeliveries::new(dynamo.clone(), &config.receipts_table);
    let secrets = AccountSecrets::new(
        secrets_manager.clone(),
        &config.oauth_prefix,
        &config.signing_prefix,
        config.recovery_days,
    );
    let webhooks = Orderspace::new(config.orderspace)?;
    let settings = Settings::new(config.hooks);
    let subscriptions = &Subscriptions::new(&accounts, &secrets, &webhooks, &deliveries, settings);
    tokio::join!(dynamo.warm(), secrets_manager.warm());
    run(service_fn(|request: Request| async move {
        Ok::<_, Error>(subscriptions.handle(&request, clock::now()).await)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
