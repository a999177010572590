//! The dependency graph of a cargo workspace as records on disk.
//!
//! `cargo run --example packages [FOLDER]` reads `cargo metadata`, writes every package into the store in FOLDER
//! (`target/packages.dust`), reviews some of them with compare-and-swap while a subscription reports the changes, and
//! prints what it did. A second run finds what the first left.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use dust_orm::prelude::*;
use dust_orm::{Conflict, Subscription};
use futures_util::StreamExt as _;

/// One package of the graph; its slug is `name@version`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "workspace/packages")]
struct Package {
    slug: String,
    #[dust(required)]
    name: String,
    #[dust(required)]
    version: String,
    license: Option<String>,
    description: Option<String>,
    #[validate(url)]
    repository: Option<String>,
    /// The slugs of the packages that it depends on, as the resolver chose them.
    links: Vec<String>,
    /// How often a run of this program has reviewed it.
    #[dust(default)]
    reviews: u32,
}

/// One run of this program, as one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "workspace/runs", storage = "map")]
struct Run {
    slug: String,
    packages: usize,
    written: usize,
}

/// How many packages go into one atomic batch.
const BATCH_PACKAGES: usize = 50;
/// How many packages a run reviews.
const REVIEWS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/packages.dust"), PathBuf::from);
    let repo = Repo::embedded(&folder, "example/workspace").await?;
    let runs: Vec<Run> = repo.all().await?;
    let found: BTreeMap<String, Package> = repo
        .all::<Package>()
        .await?
        .into_iter()
        .map(|package| (package.slug.clone(), package))
        .collect();
    println!(
        "{}: {} earlier runs, {} packages found",
        folder.display(),
        runs.len(),
        found.len()
    );

    let graph = read_graph()?;
    let start = Instant::now();
    let written = store(&repo, &found, &graph).await?;
    let elapsed = start.elapsed();

    println!("{} packages read, {written} written in {elapsed:.1?}", graph.len());
    print_licenses(&repo.all().await?);
    // Some packages are reviewed while a subscription in the same program reports what changes.
    let mut changes = repo.subscribe::<Package>().changes_only().await?;
    let slugs: BTreeSet<&String> = graph.keys().take(REVIEWS).collect();
    println!("\n{:<44} {:>8}  reviews", "reviewed with compare-and-swap", "revision");
    let (reviewed, reported) = tokio::try_join!(review(&repo, &slugs), report(&mut changes, &slugs))?;
    for (slug, revision, reviews) in reviewed {
        println!("{slug:<44} {revision:>8}  {reviews}");
    }
    println!("\nthe subscription reported");
    for package in reported {
        println!("{:<44} {:>8}  {}", package.slug, "", package.reviews);
    }
    show_conflict(&repo, graph.keys().next().ok_or("the graph is empty")?).await?;

    let slug = format!("{:06}", runs.len() + 1);
    repo.insert(Run {
        slug,
        packages: graph.len(),
        written,
    })
    .if_absent()
    .await?;
    Ok(())
}

/// Writes the packages that are new or differ from what was found, in atomic batches.
async fn store(
    repo: &Repo,
    found: &BTreeMap<String, Package>,
    graph: &BTreeMap<String, Package>,
) -> Result<usize, Box<dyn Error>> {
    let differs = |package: &&Package| match found.get(&package.slug) {
        Some(found) => {
            Package {
                reviews: found.reviews,
                ..(*package).clone()
            } != *found
        }
        None => true,
    };
    let changed: Vec<&Package> = graph.values().filter(differs).collect();
    for packages in changed.chunks(BATCH_PACKAGES) {
        let batch = packages
            .iter()
            .fold(Batch::new(), |batch, package| match found.get(&package.slug) {
                Some(found) => batch.update(found.change().cast(package).keep(Package::REVIEWS)),
                None => batch.insert(*package),
            });
        repo.batch_write(batch).await?;
    }
    Ok(changed.len())
}

/// Counts a review of each package, by compare-and-swap: slug, revision before and number of reviews.
async fn review(repo: &Repo, slugs: &BTreeSet<&String>) -> Result<Vec<(String, Seq, u32)>, Box<dyn Error>> {
    let mut reviewed = Vec::new();
    for slug in slugs {
        let found = repo.get_versioned::<Package>(slug).await?.ok_or("just written")?;
        let edit = found.change().put(Package::REVIEWS, found.reviews + 1);
        let package = repo.update(edit).if_match(found.version()).await?;
        reviewed.push((package.slug, found.version().revision(), package.reviews));
    }
    Ok(reviewed)
}

/// The packages as the subscription reports them, until it has reported each of `slugs`.
async fn report(
    changes: &mut Subscription<Package>,
    slugs: &BTreeSet<&String>,
) -> Result<Vec<Package>, Box<dyn Error>> {
    let mut reported: Vec<Package> = Vec::new();
    while reported.len() < slugs.len() {
        match changes.next().await.ok_or("the subscription has ended")?? {
            Change::Upserted(package) if slugs.contains(&package.slug) => reported.push(package),
            _ => {}
        }
    }
    Ok(reported)
}

/// What a writer sees that comes second: base, mine and theirs of the fields that clash.
async fn show_conflict(repo: &Repo, slug: &str) -> Result<(), Box<dyn Error>> {
    let found = repo.get_versioned::<Package>(slug).await?.ok_or("just written")?;
    let first = found.change().put(Package::DESCRIPTION, "described by the first");
    repo.update(first).if_match(found.version()).await?;
    let second = found.change().put(Package::DESCRIPTION, "described by the second");
    match repo.update(second).if_match(found.version()).await {
        Err(WriteError::Dust(error)) if error.is_conflict() => {
            println!("\na second writer of {slug} meets a conflict:");
            for field in error.conflict().into_iter().flat_map(Conflict::clashes) {
                println!("  {}: theirs {:?}, mine {:?}", field.field, field.theirs, field.mine);
            }
        }
        other => return Err(format!("expected a conflict, found {other:?}").into()),
    }
    let now = repo.get_versioned::<Package>(slug).await?.ok_or("just written")?;
    let mut undo = now.change().clear(Package::DESCRIPTION);
    if let Some(description) = &found.description {
        undo = undo.put(Package::DESCRIPTION, description.clone());
    }
    repo.update(undo).if_match(now.version()).await?;
    Ok(())
}

/// How many packages stand under each licence.
fn print_licenses(packages: &[Package]) {
    let mut licenses: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for package in packages {
        let (count, links) = licenses
            .entry(package.license.as_deref().unwrap_or("none"))
            .or_default();
        *count += 1;
        *links += package.links.len();
    }
    println!("\n{:<44} {:>8}  {:>5}", "licence", "packages", "links");
    for (license, (count, links)) in licenses {
        println!("{license:<44} {count:>8}  {links:>5}");
    }
}

/// The part of `cargo metadata` that is stored.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    repository: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// The packages of the workspace in the current folder, by slug.
fn read_graph() -> Result<BTreeMap<String, Package>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let slugs: BTreeMap<&str, String> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), format!("{}@{}", package.name, package.version)))
        .collect();
    let links: BTreeMap<&str, Vec<String>> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| {
            (
                node.id.as_str(),
                node.dependencies
                    .iter()
                    .filter_map(|id| slugs.get(id.as_str()).cloned())
                    .collect(),
            )
        })
        .collect();
    let package = |package: &MetadataPackage| {
        let slug = slugs.get(package.id.as_str()).cloned().unwrap_or_default();
        let record = Package {
            slug: slug.clone(),
            name: package.name.clone(),
            version: package.version.clone(),
            license: package.license.clone(),
            description: package.description.as_deref().map(str::trim).map(str::to_owned),
            repository: package.repository.clone(),
            links: links.get(package.id.as_str()).cloned().unwrap_or_default(),
            reviews: 0,
        };
        (slug, record)
    };
    Ok(metadata.packages.iter().map(package).collect())
}
