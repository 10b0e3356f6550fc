//! The inbound function on Lambda: wiring.

use aws::client::{Access, Aws, Warm as _};
use aws::dynamo::{Dictionary, receipts::write::DynamoReceipts, tokens::DynamoTokens};
use aws::{s3::S3Oversize, secrets::SigningSecrets, sqs::SqsQueues};
use inbound::{Inbound, config::Config};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use runtime::{clock, config::Variables, gateway::GatewayEvent, telemetry};

const SECONDS_A_DAY: u64 = 86_400;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables = Variables::from_process();
    telemetry::init(variables.parsed("LOG_LEVEL")?);
    let aws = Aws::new(Access::from_env()?)?;
    let (dynamo, sqs, secrets) = (aws.dynamo(), aws.sqs(), aws.secrets());
    let oversize = S3Oversize::of(&aws, variables.text("OVERSIZE_BUCKET")?);
    let receipts = DynamoReceipts::new(
        dynamo.clone(),
        variables.text("RECEIPTS_TABLE")?,
        oversize.clone(),
        variables.parsed("INLINE_LIMIT_BYTES")?,
        SECONDS_A_DAY.saturating_mul(variables.parsed("RECEIPT_TTL_DAYS")?),
    )
    .with_dictionary(variables.parsed_or("COMPRESSION_DICTIONARY", Dictionary::None)?);
    let tokens = DynamoTokens::new(dynamo.clone(), variables.text("ACCOUNTS_TABLE")?);
    let keys = SigningSecrets::new(secrets.clone(), variables.text("SIGNING_SECRET_PREFIX")?);
    let queues = SqsQueues::new(sqs.clone());
    let config = Config::read(&variables)?;
    let inbound = &Inbound::new(&tokens, &keys, &queues, &receipts, &oversize, config);
    tokio::join!(dynamo.warm(), sqs.warm(), secrets.warm());
    run(service_fn(|event: LambdaEvent<GatewayEvent>| async move {
        let request = (event.payload).traced(event.context.xray_trace_id.as_deref());
        Ok::<_, Error>(inbound.respond(request, clock::now()).await)
    }))
    .await
}
