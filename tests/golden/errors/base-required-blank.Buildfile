FROM ${IMAGE:?say which image}
