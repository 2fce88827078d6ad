"""Repos: folders of config.json + model.safetensors, here or on the Hub.

`hub.find_repo(name)` and its like are all that the rest of the package calls.
"""

from faceedit.hub.checks import check_regular, check_settings, drafting, read_json
from faceedit.hub.find import (
    BUNDLED,
    OWNER,
    find_base,
    find_local,
    find_repo,
    name_of,
    revision_of,
)
from faceedit.hub.fingerprints import check_fingerprint, digest, fingerprint, fits_base
from faceedit.hub.folders import (
    CONFIG,
    FORMAT_VERSION,
    PICKLES,
    WEIGHTS,
    AnyModule,
    build_config,
    build_filled,
    load_network,
    load_weights,
    method_of,
    read_base,
    read_config,
    read_weights,
    save_base,
    save_network,
    write_folder,
)
from faceedit.hub.remote import Download
