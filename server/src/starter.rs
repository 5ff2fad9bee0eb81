//! The model that graft comes with, so that there is something to try and to graft upon before anything is fetched.

use models::Network;
use models::params::ParamsError;
use onnx::ImportError;
use sha2::{Digest, Sha256};
use thiserror::Error;
use trainer::finetune::ModelContent;
use trainer::finetune::golden::{self, GoldenError};

use crate::demo::THINGS;
use crate::failure::chain;
use crate::store::{Artifacts, BuiltInState, ModelName, ModelStore, StoreError};

/// What `graft export starter --weights int8 --batch-norm keep` writes of the run of the recipe `starter`.
const FILE: &[u8] = include_bytes!("../assets/starter.onnx");

/// What it is and what it is not for, in a few lines; docs/starter.md says more.
const CARD: &str = include_str!("../assets/starter.txt");

/// The seed of the drawings that its engines must answer as the executor does.
const DRAWING: u64 = 0;

/// The model cannot be put into the store.
#[derive(Debug, Error)]
enum StarterError {
    /// The file is damaged, which is a defect of this build; so are the next three.
    #[error("the model inside this program cannot be read: {0}")]
    Import(#[from] ImportError),
    #[error("the model inside this program has no description of itself")]
    NoSpec,
    #[error("the model inside this program does not fit its description: {0}")]
    Params(#[from] ParamsError),
    #[error(transparent)]
    Golden(#[from] GoldenError),
    #[error("there is no memory for the drawings that test it")]
    Memory,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts the model into the store under [`ModelName::STARTER`], unless it is there, or a model of the user's has the name. What a process
/// that was killed has left undone is done. Where it cannot be written, everything else works, and the log says why.
pub fn provide(store: &ModelStore) {
    if let Err(error) = publish(store) {
        tracing::warn!(
            reason = chain(&error),
            "the model that graft comes with cannot be stored; --no-starter leaves it out"
        );
    }
}

fn publish(store: &ModelStore) -> Result<(), StarterError> {
    let name = ModelName::starter();
    let checksum = hex::encode(Sha256::digest(FILE));
    match store.built_in_state(&name, &checksum)? {
        BuiltInState::Settled => return Ok(()),
        BuiltInState::Unfinished => return Ok(store.finish_built_in(&name, CARD)?),
        BuiltInState::Missing => {}
    }
    let network = network()?;
    let drawings = THINGS.into_iter().map(|thing| {
        let drawing = thing.draw(DRAWING).ok_or(StarterError::Memory)?;
        Ok((format!("{}.png", thing.name()), drawing.to_png()))
    });
    let drawings = drawings.collect::<Result<_, StarterError>>()?;
    let golden = golden::answers(&network, drawings)?;
    let content = ModelContent::Native(Box::new(network));
    let artifacts = Artifacts { content: &content, golden: &golden, report: None, pictures: &[], quantized: None };
    store.publish_built_in(&name, &artifacts, &checksum)?;
    Ok(store.finish_built_in(&name, CARD)?)
}

fn network() -> Result<Network, StarterError> {
    let imported = onnx::import(FILE)?;
    let spec = imported.spec.ok_or(StarterError::NoSpec)?;
    Ok(Network::new(imported.graph, &imported.params, spec)?)
}
