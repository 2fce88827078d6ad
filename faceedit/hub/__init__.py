"""Repos: folders of config.json + model.safetensors, here or on the Hub.

`hub.find_repo(name)` and its like are all that the rest of the package calls.
"""

from faceedit.hub.folders import (
    BUNDLED,
    CONFIG,
    FORMAT_VERSION,
    OWNER,
    PICKLES,
    WEIGHTS,
    AnyModule,
    build_config,
    check_fingerprint,
    digest,
    find_base,
    find_local,
    find_repo,
    fingerprint,
    fits_base,
    load_network,
    load_weights,
    method_of,
    name_of,
    read_base,
    read_config,
    read_weights,
    revision_of,
    save_base,
    save_network,
    write_folder,
)
from faceedit.hub.remote import Download
