#include "kernels/index.h"

namespace ember::kernels {

#define EMBER_SLOT(name) decltype(name) name(#name);
EMBER_SLOT(index_select)
EMBER_SLOT(index_add)
EMBER_SLOT(embedding_backward)
EMBER_SLOT(gather)
EMBER_SLOT(scatter)
EMBER_SLOT(scatter_add)
EMBER_SLOT(index_get)
EMBER_SLOT(index_put)
EMBER_SLOT(nonzero_count)
EMBER_SLOT(nonzero)
EMBER_SLOT(masked_select)
EMBER_SLOT(masked_scatter)
#undef EMBER_SLOT

}  // namespace ember::kernels
