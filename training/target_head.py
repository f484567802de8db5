"""On a CPU, score the target tokens only.

TRL's trainers never build all logits: a fused LM head scores the positions that have a label. On
devices without Triton it scores every position instead, prompts and padding too, and computes
entropies for its log: more than half of a small model's step. Here the head works on a CPU as it
does on a GPU, and leaves the entropies out.

    labels      -100 -100   77   12    1 -100
    scored                   x    x    x
"""

from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

_MOST_LOGITS = 1 << 27
"""Above it (0.5 GB of them) TRL's head, which works in tiles, is used after all."""
_SCALING = (
    *("final_logit_softcapping", "logit_scale", "logits_scaling"),
    *("lm_head_multiplier", "output_multiplier"),
)
"""Configuration of the models whose logits are more than a product; TRL's head knows them."""


def score_targets_only(trained: PreTrainedModel | PeftModel, device: torch.device) -> None:
    """Patch a model that TRL gave a fused LM head, where that is slow.

    Args:
        trained: After `trl.trainer.utils.add_fused_lm_head`.
        device: Where it will be trained, which under FSDP it is not yet.
    """
    model: Any = trained.get_base_model() if isinstance(trained, PeftModel) else trained
    text = model.config.get_text_config()
    unusual = [name for name in _SCALING if getattr(text, name, None) is not None]
    if device.type != "cpu" or unusual or getattr(text, "output_router_logits", False):
        return
    fused = model.forward

    def forward(
        *args: Any, fused_lm_head: bool = False, labels: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        targets = None if labels is None else labels[:, 1:]
        mask = None if targets is None else targets != -100
        if (
            not fused_lm_head
            or targets is None
            or mask is None
            or int(mask.sum()) * text.vocab_size > _MOST_LOGITS
        ):
            return fused(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        hidden = model.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        logits = model.get_output_embeddings()(hidden[mask]).float()
        log_probs = -functional.cross_entropy(logits, targets[mask], reduction="none")
        best = logits.detach().argmax(-1) == targets[mask]
        not_computed = torch.zeros(mask.shape)
        return FusedCausalLMOutput(
            log_probs=not_computed.masked_scatter(mask, log_probs),
            entropy=not_computed,
            mean_logits=not_computed,
            is_top1=torch.zeros_like(mask).masked_scatter(mask, best),
            label_mask=mask,
        )

    model.forward = forward
