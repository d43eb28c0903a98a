"""Which models of public repositories `public_models.py` runs: names and expressions, no code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A model and how it is made and called, as text that runs where ``torch`` is imported.

    Attributes
    ----------
    name, requirement, repository
        What the table calls it, what pip installs, and where its source is.
    imports, build, inputs
        A statement, and expressions of the module and of the tuple of its arguments.
    call
        An expression of the function that is called with module and arguments.
    train
        Whether it runs in train mode.
    dtype
        float64 where rounding in float32 decides between branches, as at a ReLU after a batch
        normalisation over few values: there PyTorch differs as much from itself.
    """

    name: str
    requirement: str
    repository: str
    imports: str
    build: str
    inputs: str
    call: str = "lambda net, *inputs: net(*inputs)"
    train: bool = True
    dtype: str = "float32"


DOUBLE = {"dtype": "float64"}
TOKENS = "(torch.randint(0, 100, (2, 10)),)"
TRANSFORMERS = ("transformers", "huggingface/transformers", "import transformers as h")
SMALL = "hidden_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=100"
IMAGE = "(torch.randn(2, 3, 64, 64),)"
LARGE = "(torch.randn(2, 3, 224, 224),)"
TOKENS = "(torch.randint(0, 100, (2, 64)),)"
SEQUENCE = "(torch.randn(2, 64, 32),)"
TORCHVISION = ("torchvision", "pytorch/vision", "import torchvision.models as m")
TIMM = ("timm", "huggingface/pytorch-image-models", "import timm")
SMP = (
    "segmentation_models_pytorch",
    "qubvel-org/segmentation_models.pytorch",
    "import segmentation_models_pytorch as smp",
)
PYTORCHCV = ("pytorchcv", "osmr/pytorchcv", "from pytorchcv.model_provider import get_model")
MONAI = ("monai", "Project-MONAI/MONAI", "import monai.networks.nets as m")
GEOMETRIC = ("torch_geometric", "pyg-team/pytorch_geometric", "import torch_geometric.nn as g")
GRAPH = "(torch.randn(20, 8), torch.randint(0, 20, (2, 60)))"

MODELS = [
    Model("resnet18", *TORCHVISION, "m.resnet18()", IMAGE, **DOUBLE),
    Model("densenet121", *TORCHVISION, "m.densenet121()", IMAGE, **DOUBLE),
    Model("mobilenet_v3_small", *TORCHVISION, "m.mobilenet_v3_small()", IMAGE),
    Model("efficientnet_b0", *TORCHVISION, "m.efficientnet_b0()", IMAGE, **DOUBLE),
    Model("convnext_tiny", *TORCHVISION, "m.convnext_tiny()", IMAGE),
    Model("vit", *TORCHVISION, "m.VisionTransformer(64, 16, 4, 4, 128, 256)", IMAGE),
    Model("swin_t", *TORCHVISION, "m.swin_t()", IMAGE),
    Model("squeezenet1_1", *TORCHVISION, "m.squeezenet1_1()", IMAGE),
    Model("shufflenet_v2_x1_0", *TORCHVISION, "m.shufflenet_v2_x1_0()", IMAGE, **DOUBLE),
    Model("googlenet", *TORCHVISION, "m.googlenet(init_weights=False)", IMAGE, **DOUBLE),
    Model(
        "deeplabv3",
        *TORCHVISION,
        "m.segmentation.deeplabv3_resnet50(weights_backbone=None)",
        IMAGE,
        **DOUBLE,
    ),
    Model("timm_resnetv2", *TIMM, "timm.create_model('resnetv2_50')", IMAGE, **DOUBLE),
    Model("timm_mixer", *TIMM, "timm.create_model('mixer_s32_224', img_size=64)", IMAGE),
    Model("timm_vit", *TIMM, "timm.create_model('vit_tiny_patch16_224', img_size=64)", IMAGE),
    Model("timm_regnet", *TIMM, "timm.create_model('regnety_002')", IMAGE, **DOUBLE),
    Model("timm_coatnet", *TIMM, "timm.create_model('coatnet_pico_rw_224', img_size=64)", IMAGE),
    Model("smp_unet", *SMP, "smp.Unet('resnet18', encoder_weights=None)", IMAGE, **DOUBLE),
    Model("smp_fpn", *SMP, "smp.FPN('mobilenet_v2', encoder_weights=None)", IMAGE, **DOUBLE),
    Model(
        "efficientnet_pytorch",
        "efficientnet_pytorch",
        "lukemelas/EfficientNet-PyTorch",
        "from efficientnet_pytorch import EfficientNet",
        "EfficientNet.from_name('efficientnet-b0')",
        IMAGE,
        **DOUBLE,
    ),
    Model("pytorchcv_preresnet", *PYTORCHCV, "get_model('preresnet10')", LARGE, **DOUBLE),
    Model(
        "pytorchcv_shufflenetv2b",
        *PYTORCHCV,
        "get_model('shufflenetv2b_wd2')",
        LARGE,
        **DOUBLE,
    ),
    Model(
        "vit_pytorch",
        "vit-pytorch",
        "lucidrains/vit-pytorch",
        "from vit_pytorch import ViT",
        "ViT(image_size=64, patch_size=8, num_classes=10, dim=64, depth=3, heads=4, mlp_dim=128, "
        "dropout=0.1)",
        IMAGE,
    ),
    Model(
        "x_transformers",
        "x-transformers",
        "lucidrains/x-transformers",
        "from x_transformers import TransformerWrapper, Decoder",
        "TransformerWrapper(num_tokens=100, max_seq_len=64, attn_layers=Decoder(dim=64, depth=3, "
        "heads=4, rotary_pos_emb=True, use_rmsnorm=True, ff_glu=True))",
        TOKENS,
    ),
    Model(
        "performer",
        "performer-pytorch",
        "lucidrains/performer-pytorch",
        "from performer_pytorch import PerformerLM",
        "PerformerLM(num_tokens=100, max_seq_len=64, dim=64, depth=2, heads=4, dim_head=16)",
        TOKENS,
    ),
    Model(
        "linformer",
        "linformer",
        "lucidrains/linformer",
        "from linformer import LinformerLM",
        "LinformerLM(num_tokens=100, dim=64, seq_len=64, depth=2, heads=4, k=16)",
        TOKENS,
    ),
    Model(
        "perceiver",
        "perceiver-pytorch",
        "lucidrains/perceiver-pytorch",
        "from perceiver_pytorch import Perceiver",
        "Perceiver(input_channels=3, input_axis=2, num_freq_bands=6, max_freq=10., depth=2, "
        "num_latents=16, latent_dim=64, num_classes=10)",
        "(torch.randn(2, 32, 32, 3),)",
    ),
    Model(
        "denoising_diffusion",
        "denoising-diffusion-pytorch",
        "lucidrains/denoising-diffusion-pytorch",
        "from denoising_diffusion_pytorch import Unet, GaussianDiffusion",
        "GaussianDiffusion(Unet(dim=16, dim_mults=(1, 2, 4)), image_size=32, timesteps=100)",
        "(torch.rand(2, 3, 32, 32),)",
    ),
    Model(
        "tab_transformer",
        "tab-transformer-pytorch",
        "lucidrains/tab-transformer-pytorch",
        "from tab_transformer_pytorch import TabTransformer",
        "TabTransformer(categories=(10, 5, 6), num_continuous=4, dim=32, dim_out=1, depth=3, "
        "heads=4, mlp_act=nn.ReLU())",
        "(torch.randint(0, 5, (8, 3)), torch.randn(8, 4))",
    ),
    Model(
        "siren",
        "siren-pytorch",
        "lucidrains/siren-pytorch",
        "from siren_pytorch import SirenNet",
        "SirenNet(dim_in=2, dim_hidden=64, dim_out=3, num_layers=5)",
        "(torch.rand(256, 2),)",
    ),
    Model(
        "nystromformer",
        "nystrom-attention",
        "lucidrains/nystrom-attention",
        "from nystrom_attention import Nystromformer",
        "Nystromformer(dim=32, dim_head=16, heads=4, depth=2, num_landmarks=16)",
        SEQUENCE,
    ),
    Model(
        "local_attention",
        "local-attention",
        "lucidrains/local-attention",
        "from local_attention import LocalTransformer",
        "LocalTransformer(num_tokens=100, dim=64, depth=2, max_seq_len=64, "
        "local_attn_window_size=16)",
        TOKENS,
    ),
    Model(
        "product_key_memory",
        "product-key-memory",
        "lucidrains/product-key-memory",
        "from product_key_memory import PKM",
        "PKM(dim=32, heads=4, num_keys=16, topk=8)",
        SEQUENCE,
        **DOUBLE,
    ),
    Model(
        "pytorch_tcn",
        "pytorch-tcn",
        "paul-krug/pytorch-tcn",
        "from pytorch_tcn import TCN",
        "TCN(num_inputs=8, num_channels=[16, 16, 32], kernel_size=3)",
        "(torch.randn(4, 8, 50),)",
    ),
    Model(
        "torchdiffeq",
        "torchdiffeq",
        "rtqichen/torchdiffeq",
        "from torchdiffeq import odeint\nclass Field(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))\n"
        "    def forward(self, t, y):\n"
        "        return self.net(y**3)",
        "Field()",
        "(torch.randn(4, 2), torch.linspace(0.0, 2.0, 10))",
        call="lambda net, y, t: odeint(net, y, t, method='dopri5')",
        **DOUBLE,
    ),
    Model(
        "demucs",
        "demucs",
        "adefossez/demucs",
        "from demucs.demucs import Demucs",
        "Demucs(['a', 'b'], channels=8, depth=3, dconv_mode=0, resample=False)",
        "(torch.randn(1, 2, 4096),)",
    ),
    Model(
        "htdemucs",
        "demucs",
        "adefossez/demucs",
        "from demucs.htdemucs import HTDemucs",
        "HTDemucs(['a', 'b'], channels=8, t_layers=2, nfft=1024, depth=3, bottom_channels=32, "
        "t_heads=4)",
        "(torch.randn(1, 2, 44100),)",
    ),
    Model(
        "monai_unet",
        *MONAI,
        "m.UNet(2, 1, 2, (8, 16, 32), (2, 2), num_res_units=1)",
        "(torch.randn(1, 1, 64, 64),)",
        **DOUBLE,
    ),
    Model("monai_segresnet", *MONAI, "m.SegResNet(3, 8, 1, 2)", "(torch.randn(1, 1, 32, 32, 32),)"),
    Model(
        "gcn",
        *GEOMETRIC,
        "g.models.GCN(8, 16, 3, 4)",
        GRAPH,
    ),
    Model("gat", *GEOMETRIC, "g.models.GAT(8, 16, 3, 4, heads=2)", GRAPH),
    Model("graphsage", *GEOMETRIC, "g.models.GraphSAGE(8, 16, 3, 4)", GRAPH),
    Model(
        "gpytorch",
        "gpytorch",
        "cornellius-gp/gpytorch",
        "import gpytorch\nclass GP(gpytorch.models.ExactGP):\n"
        "    def __init__(self, x, y, likelihood):\n"
        "        super().__init__(x, y, likelihood)\n"
        "        self.mean_module = gpytorch.means.ConstantMean()\n"
        "        self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())\n"
        "    def forward(self, x):\n"
        "        return gpytorch.distributions.MultivariateNormal(\n"
        "            self.mean_module(x), self.covar_module(x))\n"
        "x = torch.linspace(0, 1, 30)",
        "GP(x, torch.sin(6 * x), gpytorch.likelihoods.GaussianLikelihood())",
        "()",
        call="lambda net: gpytorch.mlls.ExactMarginalLogLikelihood(net.likelihood, net)"
        "(net(x), torch.sin(6 * x))",
        **DOUBLE,
    ),
    Model(
        "bert",
        *TRANSFORMERS,
        f"h.BertModel(h.BertConfig({SMALL}, intermediate_size=128))",
        TOKENS,
        call="lambda net, x: net(x).last_hidden_state",
    ),
    Model(
        "gpt2",
        *TRANSFORMERS,
        "h.GPT2LMHeadModel(h.GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=100))",
        TOKENS,
        call="lambda net, x: net(x, labels=x).logits",
    ),
    Model(
        "llama",
        *TRANSFORMERS,
        f"h.LlamaForCausalLM(h.LlamaConfig({SMALL}, intermediate_size=128, num_key_value_heads=2))",
        TOKENS,
        call="lambda net, x: net(x).logits",
    ),
]
